"""A server that behaves like a real Semaphore UI, for the demo and for tests. The door is `Standin`."""

from chatrixcd_threads.demo.semaphore.faults import Fault
from chatrixcd_threads.demo.semaphore.profile import PROFILES, Profile
from chatrixcd_threads.demo.semaphore.server import Standin, StandinError

__all__ = ["PROFILES", "Fault", "Profile", "Standin", "StandinError"]
