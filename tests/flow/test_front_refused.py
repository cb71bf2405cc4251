"""A front that cannot work says why and what to do; one that cannot work yet lives on and tries again."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

from tests.fakes_node import PASSWORD, USER
from tests.flow.conftest import MakeFront
from tests.flow.front import Front
from tests.flow.miner import Miner

USAGE = 2
WRONG = "not-the-password"


def refused(front: Front) -> str:
    """Start the front, which must end at once with the status of a wrong configuration; what it says."""
    done = subprocess.run(front.command, check=False, capture_output=True, text=True, timeout=40)
    assert done.returncode == USAGE, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_taken_port_is_named_with_its_key_and_the_mend(make_front: MakeFront) -> None:
    front = make_front()
    with socket.create_server(("127.0.0.1", front.port)):
        said = refused(front)

    assert f"stratum.listen[0]: tcp:{front.port}:interface=127.0.0.1: " in said
    assert "Address already in use: stop what listens there, or choose another" in said


def test_a_second_front_of_the_same_id_is_refused_and_names_the_first(make_front: MakeFront) -> None:
    first = make_front()
    first.start()

    said = refused(make_front())

    assert f"{first.store} has a running front-0 already (process {first.program.pid}): stop it first" in said
    assert len(said.splitlines()) == 1
    with Miner(first.port, "alpha.rig") as miner:
        assert miner.submit(miner.share()) is None


def test_an_unknown_key_is_named_with_its_file(make_front: MakeFront) -> None:
    front = make_front()
    front.config.write_text(front.config.read_text() + "\n[stratums]\nport = 1\n")

    said = refused(front)

    assert said == f"sluice: {front.config}: stratums: there is no such key\n"


def test_wrong_credentials_are_told_once_without_the_password_and_tried_again(make_front: MakeFront) -> None:
    front = make_front(password=WRONG)
    front.start()
    told = "does not know user 'front' of role front, or its password"
    front.wait_for_log(told)
    with socket.create_connection(("127.0.0.1", front.port)):  # miners are let in and wait for work
        assert front.program.running
    front.terminate()

    assert "for its tip failed, trying again" in front.log_text()
    assert front.log_text().count(told) == 1
    assert WRONG not in front.log_text()
    assert "Traceback" not in front.log_text()


def test_a_node_on_another_network_is_not_mined_on(make_front: MakeFront) -> None:
    front = make_front()
    text = front.config.read_text()
    front.config.write_text(re.sub(r'network = "\w+"', 'network = "testnet4"', text))

    said = refused(front)

    assert "node.network says testnet4: mend one of them" in said


def test_work_begins_when_the_node_s_cookie_becomes_right(make_front: MakeFront, tmp_path: Path) -> None:
    cookie = tmp_path / "cookie"
    cookie.write_text(f"{USER}:{WRONG}")
    front = make_front(cookie=cookie)
    front.start()
    told = f"does not know the cookie {cookie}"
    front.wait_for_log(told)

    cookie.write_text(f"{USER}:{PASSWORD}")

    with Miner(front.port, "alpha.rig") as miner:
        assert miner.submit(miner.share()) is None
    front.wait_for_log("for its tip works again")
    front.terminate()
