# SPDX-License-Identifier: MIT
"""Two routers that speak to each other, and what their operators see of it and do to it."""
import pytest

import bed as bed_module
import throwaway


@pytest.fixture
def routers(start_bed):
    """a.example and b.example, by dialback; each is the other's static route."""
    ports = {"a.example": throwaway.free_port(), "b.example": throwaway.free_port()}
    beds = []
    for ours, theirs in (("a.example", "b.example"), ("b.example", "a.example")):
        beds.append(start_bed(domains=(ours,), plaintext=True, settings=(
            f"listen.s2s=127.0.0.1:{ports[ours]}", "s2s.enabled=true", "s2s.tls_required=false",
            f"s2s.routes={theirs}=127.0.0.1:{ports[theirs]}")))
    return beds


def test_operators__of_two_routers__show_test_and_close_streams(routers):
    a, b = routers
    assert a.json("show s2s") == []
    steps = {row["step"]: row["ok"] for row in a.json("s2s test b.example")}
    assert steps == {**dict.fromkeys(("resolve", "candidate", "connect", "features", "tls", "authenticate", "ready"), True),
                     "certificate": False}  # an authority that the other does not know: dialback it is
    assert bed_module.wait_until(lambda: a.json("show s2s") == [] and b.json("show s2s") == [])

    romeo, juliet = a.login("user0", secure=False), b.login("user0", secure=False)
    romeo.message(juliet.jid, "but soft")
    assert juliet.body() == "but soft"
    juliet.message(romeo.jid, "ay me")
    assert romeo.body() == "ay me"

    ready = [row for row in a.json("show s2s") if row["state"] == "ready"]
    assert [(row["theirs"], row["ours"], row["direction"], row["bidi"], row["proof"]) for row in ready] == [
        ("b.example", "a.example", "out", True, "dialback")]
    assert (ready[0]["stanzas_in"], ready[0]["stanzas_out"]) == (1, 1)
    assert min(ready[0]["bytes_in"], ready[0]["bytes_out"]) > len("<message><body>ay me</body></message>")
    assert a.stats()["s2s_streams_out"] == 1 and b.stats()["s2s_streams_in"] == 1

    done = a.ctl("s2s", "close", "b.example")
    assert done.returncode == 0 and "closed: " in done.stdout, done
    assert bed_module.wait_until(lambda: a.json("show s2s") == [] and b.json("show s2s") == [])
    with pytest.raises(throwaway.Trouble, match="nowhere.invalid was not reached"):
        a.ask("s2s test nowhere.invalid")
