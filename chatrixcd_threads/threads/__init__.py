"""Threads, lanes and their supervisor. Knows nothing of Matrix or Semaphore; the only place that makes threads."""
