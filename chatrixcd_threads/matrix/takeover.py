"""The key store of a bot that ran here before, such as ChatrixCD: the same file for the same device, under nio's own passphrase.

It is read and written anew under ours, so that the device stays the same for everybody it has spoken to. What it had
marked as verified does not count: ChatrixCD verified every device by itself, and here a mark says that somebody looked.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from nio import AsyncClientConfig
from nio.store import DefaultStore
from vodozemac import LibolmPickleException, PickleException

from chatrixcd_threads.errors import Fatal

log = logging.getLogger("chatrixcd.login")

UNREADABLE: Final = (PickleException, LibolmPickleException)
MODE: Final = 0o600
BEFORE: Final = ".before"  # what was there stays beside it under this ending


def take_over(store: Path, user_id: str, device_id: str, passphrase: str) -> None:
    """Makes the key store one of ours. Raises Fatal when nobody can read it; then nothing has changed."""
    name = f"{user_id}_{device_id}"
    with TemporaryDirectory(dir=store) as folder:
        fresh = Path(shutil.copy(store / f"{name}.db", folder))
        try:
            _rewrite(DefaultStore(user_id, device_id, folder, AsyncClientConfig().pickle_key), passphrase)
        except UNREADABLE as error:
            raise Fatal(
                f"the keys in {store / name}.db are locked with a passphrase that I do not know: move that file and "
                "session.json away, and choose another matrix.device_id"
            ) from error
        trusted = store / f"{name}.trusted_devices"
        if trusted.exists():
            trusted.replace(trusted.with_name(trusted.name + BEFORE))
        before = Path(shutil.copy(store / f"{name}.db", store / f"{name}.db{BEFORE}"))
        for each in (before, fresh):
            each.chmod(MODE)  # ChatrixCD in the background let everybody read and write its files
        fresh.replace(store / f"{name}.db")
    log.warning("the keys of device %s were taken over from the bot that used %s before", device_id, store)


def _rewrite(keys: DefaultStore, passphrase: str) -> None:
    try:
        account, sessions, groups = keys.load_account(), keys.load_sessions(), keys.load_inbound_group_sessions()
        keys.pickle_key = passphrase
        with keys.database.atomic():  # one transaction: each of thousands would wait for the disk by itself
            keys.save_account(account)
            for sender, theirs in sessions.items():
                for session in theirs:
                    keys.save_session(sender, session)
            for group in groups:
                keys.save_inbound_group_session(group)
    finally:
        keys.database.close()
