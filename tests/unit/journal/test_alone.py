"""One bot per store."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatrixcd_threads.errors import Fatal
from chatrixcd_threads.journal.alone import StoreLock


def test_a_second_bot_is_kept_away_until_the_first_has_gone(tmp_path: Path) -> None:
    first = StoreLock(tmp_path / "store")
    with pytest.raises(Fatal, match="another bot already works with"):
        StoreLock(tmp_path / "store")
    first.release()
    StoreLock(tmp_path / "store").release()
