"""More of what was promised of a launch, in the cases in which it was not kept once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Any

    from tests.unit.commands.conftest import Bench

LIMITED: dict[str, Any] = {"task_params": {"allow_override_limit": True}, "inventory_id": 3}


def test_a_limit_with_blanks_is_refused(bench: Bench) -> None:
    """Ansible reads two hosts there; the output of the first was taken for one on a strange host, and a good run stopped."""
    bench.template(**LIMITED)
    said = bench.say('run 1 6 --limit "web1 web2"')
    assert "“web1 web2” has a blank in it" in said
    assert "Put a comma there." in said


def test_a_blank_in_the_templates_own_limit_stops_no_good_run(bench: Bench) -> None:
    bench.template(task_params={"limit": ["web1 web2"]}, inventory_id=3)
    task = bench.started("run 1 6")
    assert bench.witnessed(task, "PLAY [all] ***", "ok: [web1]", "ok: [web2]") == ""
    assert bench.semaphore.stops == []


@pytest.mark.parametrize("limit", ["web1:@/etc/passwd", "@/etc/passwd", "web1 @/etc/passwd"])
def test_a_limit_reads_no_file_of_the_server(bench: Bench, limit: str) -> None:
    bench.template(**LIMITED)
    assert "would be taken for a file" in bench.say(f'run 1 6 --limit "{limit}"')
