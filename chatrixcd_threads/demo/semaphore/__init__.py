"""A server that behaves like a real Semaphore UI, for the demo and for tests. The door is `Standin`."""

from chatrixcd_threads.demo.semaphore.faults import Fault
from chatrixcd_threads.demo.semaphore.mischief import MISCHIEFS, Mischief
from chatrixcd_threads.demo.semaphore.profile import PROFILES, Profile
from chatrixcd_threads.demo.semaphore.server import Seen, Standin, StandinError

__all__ = ["MISCHIEFS", "PROFILES", "Fault", "Mischief", "Profile", "Seen", "Standin", "StandinError"]
