"""chatrixcd_threads: run, follow and stop Semaphore UI tasks from Matrix rooms."""

__version__ = "0.1.0"
