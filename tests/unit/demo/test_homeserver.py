"""The local Synapse: starts, stops, comes back as it was, and ends with everything it made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import requests

from chatrixcd_threads.demo.homeserver import Account, Homeserver, HomeserverError

if TYPE_CHECKING:
    from tests.conftest import Leaks

pytestmark = pytest.mark.e2e

API = "/_matrix/client/v3"


@pytest.fixture(scope="module")
def server(leaks: Leaks) -> Iterator[Homeserver]:
    with Homeserver() as hs:
        leaks.allow_pids(lambda: [hs.pid])
        yield hs


def ask(server: Homeserver, account: Account, method: str, path: str, json: object = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {account.access_token}"}
    return requests.request(method, server.url + API + path, json=json, headers=headers, timeout=15)


def whoami(server: Homeserver, account: Account) -> object:
    return ask(server, account, "GET", "/account/whoami").json()


def test_an_account_is_signed_in_on_its_first_device(server: Homeserver) -> None:
    account = server.register("anna", "secret")

    assert account.user_id == "@anna:localhost"
    assert whoami(server, account) == {
        "user_id": account.user_id,
        "device_id": account.device_id,
        "is_guest": False,
    }


def test_the_password_signs_in(server: Homeserver) -> None:
    server.register("paul", "open sesame")
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "paul"}, "password": "open sesame"}

    assert requests.post(f"{server.url}{API}/login", json=login, timeout=15).status_code == 200


def test_an_admin_may_use_the_admin_api(server: Homeserver) -> None:
    admin, nobody = server.register("root", "x", admin=True), server.register("norbert", "x")
    path = f"{server.url}/_synapse/admin/v2/users/{nobody.user_id}"

    def status(account: Account) -> int:
        return requests.get(path, headers={"Authorization": f"Bearer {account.access_token}"}, timeout=15).status_code

    assert (status(admin), status(nobody)) == (200, 403)


def test_a_name_can_be_taken_once(server: Homeserver) -> None:
    server.register("twice", "x")

    with pytest.raises(HomeserverError, match="twice"):
        server.register("twice", "x")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_it_comes_back_on_the_same_port_with_the_same_data(server: Homeserver, how: str) -> None:
    account = server.register(f"back-after-{how}", "x")
    url, pid = server.url, server.pid

    getattr(server, how)()
    assert server.pid is None
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/health", timeout=5)
    server.start()

    assert server.url == url
    assert server.pid not in (None, pid)
    assert whoami(server, account)
    assert server.register(f"new-after-{how}", "x")


def test_no_rate_limits_unless_asked_for(server: Homeserver) -> None:
    account = server.register("fast", "x")
    room = ask(server, account, "POST", "/createRoom", {}).json()["room_id"]

    assert [say(server, account, room, number) for number in range(15)] == [200] * 15


def test_a_message_rate_limits_messages(tmp_path: Path) -> None:
    with Homeserver(tmp_path / "hs", message_rate=(0.5, 3)) as server:
        account = server.register("slow", "x")
        room = ask(server, account, "POST", "/createRoom", {}).json()["room_id"]
        answers = [say(server, account, room, number) for number in range(5)]

    assert 429 in answers


def say(server: Homeserver, account: Account, room: str, number: int) -> int:
    path = f"/rooms/{room}/send/m.room.message/{number}"
    return ask(server, account, "PUT", path, {"msgtype": "m.text", "body": "hello"}).status_code


def test_a_folder_of_ones_own_keeps_everything(tmp_path: Path) -> None:
    with Homeserver(tmp_path / "hs") as server:
        account = server.register("stays", "x")
    with Homeserver(tmp_path / "hs") as server:
        assert whoami(server, account)
        assert server.register("comes", "x")


def test_a_temporary_folder_and_the_process_go_with_the_block() -> None:
    with Homeserver() as server:
        folder, pid = server.folder, server.pid
        assert pid is not None
        assert psutil.pid_exists(pid)

    assert not folder.exists()
    assert not psutil.pid_exists(pid)


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(HomeserverError, match=str(port)), Homeserver(port=port, start_timeout=1):
            pass


def test_a_start_that_fails_says_what_synapse_said(tmp_path: Path) -> None:
    server = Homeserver(tmp_path / "hs", extra={"server_name": 5})

    with pytest.raises(HomeserverError, match="Invalid server name"):
        server.start()
    server.close()


def test_it_dies_with_a_killed_parent() -> None:
    script = (
        "import sys\n"
        "from chatrixcd_threads.demo.homeserver import Homeserver\n"
        "server = Homeserver()\n"
        "server.start()\n"
        "print(server.pid, server.folder, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        parent.kill()

    deadline = time.monotonic() + 5
    while runs(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(int(pid))
    for left in sorted(Path(folder).rglob("*"), reverse=True):
        left.unlink() if left.is_file() else left.rmdir()
    Path(folder).rmdir()


def runs(pid: int) -> bool:
    """Neither gone nor a zombie that its new parent has not buried yet."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
