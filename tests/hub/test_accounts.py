"""Signing in and out, accounts and their passwords, and what is put on record of it."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from cellwarden.errors import UsageError
from cellwarden.hub.accounts import (
    Accounts,
    Passwords,
    check_new_password,
    create_first_administrator,
)
from cellwarden.hub.roles import Role
from hub.fleet import PASSWORD, Clock, Site, open_hub, site, sound_frames

COOKIE = "__Host-cellwarden"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A hub of this test's own, with one account a role."""
    with site(tmp_path) as running:
        running.add_people()
        yield running


def test_the_cookie_is_for_this_host_secure_and_out_of_reach_of_scripts(own: Site) -> None:
    with own.client() as client:
        told = client.post("/api/session", json={"user": "viewer", "password": PASSWORD})
        cookie = told.headers["set-cookie"]
        name, _, rest = cookie.partition("=")
        token, *flags = rest.split("; ")
        assert name == COOKIE
        assert len(token) == 43  # 256 bits in base64
        assert {flag.lower() for flag in flags} == {
            "httponly",
            "secure",
            "samesite=strict",
            "path=/",
        }
        assert set(told.json()) == {"user", "role", "csrf"}
        assert token not in told.text
        assert client.get("/api/session").json() == told.json()


def test_signing_out_ends_the_session_on_the_hub_and_not_only_in_the_browser(own: Site) -> None:
    client = own.sign_in("viewer")
    stolen = dict(client.cookies)
    assert client.delete("/api/session").status_code == 204
    assert client.get("/api/fleet").status_code == 401
    with own.client(cookies=stolen) as thief:
        assert thief.get("/api/fleet").status_code == 401
    assert ("viewer", "sign out", "", "done") in own.audit()


def test_signing_in_again_ends_the_session_that_the_browser_had(own: Site) -> None:
    client = own.sign_in("viewer")
    before = dict(client.cookies)
    told = {"user": "analyst", "password": PASSWORD}
    assert client.post("/api/session", json=told).json()["role"] == "analyst"
    assert own.client(cookies=before).get("/api/session").status_code == 401


@pytest.mark.parametrize("token", ["", "wrong", None])
def test_a_change_without_the_sessions_token_is_refused_and_put_on_record(
    own: Site, token: str | None
) -> None:
    client = own.sign_in("administrator")
    del client.headers["X-CSRF-Token"]
    headers = {} if token is None else {"X-CSRF-Token": token}
    for method, path in (("POST", "/api/verify"), ("DELETE", "/api/session")):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"] == "IdentityError"
    assert ("administrator", "POST /api/verify", "", "cross-site") in own.audit()
    assert client.get("/api/session").status_code == 200


def test_the_token_of_one_session_does_not_serve_another(own: Site) -> None:
    mine, other = own.sign_in("operator"), own.sign_in("operator")
    mine.headers["X-CSRF-Token"] = other.headers["X-CSRF-Token"]
    assert mine.post("/api/verify").status_code == 403


@pytest.mark.parametrize(
    "header",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
    ],
)
def test_a_change_made_by_another_page_is_refused_even_with_the_token(
    own: Site, header: dict[str, str]
) -> None:
    client = own.sign_in("operator")
    assert client.post("/api/verify", headers=header).status_code == 403
    told = {"user": "viewer", "password": PASSWORD}
    assert own.client().post("/api/session", json=told, headers=header).status_code == 403
    same = {"Origin": own.origin, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/verify", headers=same).status_code == 200


def test_an_idle_session_and_an_old_one_end(own: Site) -> None:
    client = own.sign_in("viewer")
    own.clock.now += 3599
    assert client.get("/api/session").status_code == 200
    own.clock.now += 3601
    assert client.get("/api/session").status_code == 401
    client = own.sign_in("viewer")
    for _ in range(12 * 3600 // 3000):
        own.clock.now += 3000
        assert client.get("/api/session").status_code == 200
    own.clock.now += 3000
    assert client.get("/api/session").status_code == 401


def test_a_clock_set_back_does_not_make_a_session_live_longer(own: Site) -> None:
    client = own.sign_in("viewer")
    own.clock.now -= 100_000
    assert client.get("/api/session").status_code == 401


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(own: Site) -> None:
    client = own.client()
    answers = [
        client.post("/api/session", json={"user": user, "password": "wrong wrong wrong"})
        for user in ("viewer", "nobody", "viewer' OR 1=1 --")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert "set-cookie" not in answers[0].headers


def test_an_unknown_name_costs_the_hub_one_hash_like_a_known_one() -> None:
    async def checked() -> tuple[int, bool, bool]:
        passwords = Passwords()
        known = passwords.hash_now(PASSWORD)
        results = await passwords.check(known, PASSWORD), await passwords.check(None, PASSWORD)
        return passwords.check_count, *results

    assert anyio.run(checked) == (2, True, False)


def test_passwords_are_kept_as_argon2id_of_rfc_9106_and_never_the_same_twice() -> None:
    passwords = Passwords()
    first, second = passwords.hash_now(PASSWORD), passwords.hash_now(PASSWORD)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_many_tries_on_one_account_are_slowed_down_and_told_when_to_come_again(own: Site) -> None:
    client = own.client()

    def attempt(password: str) -> tuple[int, int]:
        told = client.post("/api/session", json={"user": "analyst", "password": password})
        return told.status_code, int(told.headers.get("retry-after", 0))

    statuses = [attempt("wrong")[0] for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    status, wait = attempt(PASSWORD)  # the right one does not help either
    assert status == 429
    assert 0 < wait <= 31
    own.clock.now += wait
    assert attempt(PASSWORD)[0] == 200
    assert [attempt("wrong")[0] for _ in range(10)] == [401] * 10  # forgiven


def test_many_names_from_one_address_are_slowed_down_and_no_account_is_used_up(own: Site) -> None:
    client = own.client()

    def attempt(name: str, password: str | None = None) -> int:
        return client.post(
            "/api/session", json={"user": name, "password": password or "wrong"}
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(attempt, [f"name-{n}" for n in range(40)]))
    assert statuses.count(401) == 30
    assert statuses.count(429) == 10
    for _ in range(20):
        assert attempt("viewer") == 429
    own.clock.now += 10.0
    assert attempt("viewer", PASSWORD) == 200


def test_a_password_never_reaches_the_log_the_trail_or_an_answer(
    own: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "hunter2-hunter2-hunter2"  # noqa: S105  looked for where it must not be
    client = own.client()
    answers = [
        client.post("/api/session", json={"user": secret, "password": secret}),
        client.post("/api/session", json={"user": "viewer", "password": [secret]}),
        client.post("/api/session", json={"user": ["viewer"], "password": secret, "x": secret}),
        client.post("/api/session", content=f'{{"user": "{secret}", "password": "{secret}'),
        client.post("/api/session", content=secret, headers={"content-type": "application/json"}),
        client.post("/api/session", data={"user": "viewer", "password": secret}),
    ]
    assert [answer.status_code for answer in answers] == [401, 422, 422, 422, 422, 422]
    for answer in answers:
        assert set(answer.json()) == {"error", "message", "hint"}
        assert secret not in answer.text
    viewer = own.sign_in("viewer")
    told = viewer.post("/api/session/password", json={"old": PASSWORD, "new": secret})
    assert told.status_code == 204
    token = viewer.cookies[COOKIE]
    everything = repr(own.hub.store.rows("SELECT * FROM audit"))
    printed = "".join(capfd.readouterr())
    for text in (everything, printed):
        assert secret not in text
        assert PASSWORD not in text
        assert token not in text
        assert viewer.headers["X-CSRF-Token"] not in text


def test_signing_in_is_put_on_record_with_its_address_and_its_outcome(own: Site) -> None:
    own.sign_in("auditor")
    client = own.client()
    for user in ("auditor", "somebody"):
        client.post("/api/session", json={"user": user, "password": "wrong"})
    assert own.audit() == [
        ("auditor", "sign in", "127.0.0.1", "done"),
        ("auditor", "sign in", "127.0.0.1", "refused"),
        ("unknown account", "sign in", "127.0.0.1", "refused"),
    ]


def test_a_flood_of_denied_requests_leaves_a_bounded_record(own: Site) -> None:
    client = own.sign_in("viewer")
    for _ in range(60):
        assert client.get("/api/accounts").status_code == 403
    denied = [row for row in own.audit() if row[3] == "denied"]
    assert denied == [("viewer", "GET /api/accounts", "", "denied")] * 30


def test_a_changed_password_ends_the_other_sessions_and_the_old_one_is_worth_nothing(
    own: Site,
) -> None:
    here, elsewhere = own.sign_in("operator"), own.sign_in("operator")
    new = "entirely new words 17"
    change = {"old": "wrong", "new": new}
    assert here.post("/api/session/password", json=change).status_code == 403
    change = {"old": PASSWORD, "new": new}
    assert here.post("/api/session/password", json=change).status_code == 204
    assert here.get("/api/session").status_code == 200
    assert elsewhere.get("/api/session").status_code == 401
    told = {"user": "operator", "password": PASSWORD}
    assert own.client().post("/api/session", json=told).status_code == 401
    own.sign_in("operator", new)
    assert ("operator", "change password", "", "done") in own.audit()


def test_an_administrator_gives_a_new_password_and_the_old_one_and_its_sessions_are_over(
    own: Site,
) -> None:
    chief, here = own.sign_in("administrator"), own.sign_in("operator")
    for _ in range(10):
        own.client().post("/api/session", json={"user": "operator", "password": "wrong"})
    told = chief.post("/api/accounts/operator/password")
    assert told.status_code == 200
    assert set(told.json()) == {"user", "role", "password"}
    assert told.json()["role"] == "operator"
    new = told.json()["password"]
    assert re.fullmatch(r"[\w-]{24}", new)
    assert here.get("/api/session").status_code == 401
    told = {"user": "operator", "password": PASSWORD}
    assert own.client().post("/api/session", json=told).status_code == 401
    own.sign_in("operator", new)
    assert chief.get("/api/session").status_code == 200
    assert ("administrator", "reset password", "operator", "done") in own.audit()
    assert new not in repr(own.hub.store.rows("SELECT * FROM audit"))


def test_a_stolen_session_does_not_give_a_new_password_for_itself(own: Site) -> None:
    chief = own.sign_in("administrator")
    told = chief.post("/api/accounts/administrator/password")
    assert told.status_code == 400
    assert "with the old one" in told.json()["message"]
    own.sign_in("administrator", PASSWORD)
    assert chief.post("/api/accounts/nobody/password").status_code == 404


def test_whoever_signs_in_with_the_old_password_while_it_is_changed_stays_out(own: Site) -> None:
    chief, many = own.sign_in("administrator"), [own.client() for _ in range(6)]
    told = {"user": "viewer", "password": PASSWORD}
    with ThreadPoolExecutor(7) as pool:
        tries = [pool.submit(client.post, "/api/session", json=told) for client in many]
        reset = pool.submit(chief.post, "/api/accounts/viewer/password")
        statuses = {answer.result().status_code for answer in tries}
        assert reset.result().status_code == 200
    assert statuses <= {200, 401}
    assert {client.get("/api/session").status_code for client in many} == {401}


@pytest.mark.parametrize("new", ["short", "x" * 1025, PASSWORD, "my name is Viewer 1"])
def test_a_poor_new_password_is_refused(new: str) -> None:
    with pytest.raises(UsageError):
        check_new_password("viewer", PASSWORD, new)


def test_an_account_is_made_with_a_random_password_used_and_removed(own: Site) -> None:
    chief = own.sign_in("administrator")
    made = chief.post("/api/accounts", json={"user": "Nina", "role": "analyst"}).json()
    assert re.fullmatch(r"[\w-]{24}", made["password"])  # 144 bits
    nina = own.sign_in("Nina", made["password"])
    assert nina.get("/api/session").json()["role"] == "analyst"
    listed = chief.get("/api/accounts").json()
    assert {"user": "Nina", "role": "analyst", "created_unix_time_second": own.clock.now} in listed
    assert "password" not in repr(listed)
    again = chief.post("/api/accounts", json={"user": "nina", "role": "viewer"})
    assert again.status_code == 400
    assert chief.delete("/api/accounts/Nina").status_code == 204
    assert nina.get("/api/session").status_code == 401
    assert chief.delete("/api/accounts/Nina").status_code == 404
    assert [row for row in own.audit() if row[1].endswith("account")] == [
        ("administrator", "add account", "Nina as analyst", "done"),
        ("administrator", "remove account", "Nina", "done"),
    ]


@pytest.mark.parametrize("user", ["", "x" * 64, "a b", "a'; DROP TABLE account; --", "../x", "é"])
def test_a_name_that_cannot_be_one_makes_no_account(own: Site, user: str) -> None:
    chief = own.sign_in("administrator")
    told = chief.post("/api/accounts", json={"user": user, "role": "viewer"})
    assert told.status_code in (400, 422)
    assert len(chief.get("/api/accounts").json()) == len(Role)
    told = chief.post("/api/accounts", json={"user": "x", "role": "root"})
    assert told.status_code == 422


def test_the_last_administrator_stays(own: Site) -> None:
    chief = own.sign_in("administrator")
    answer = chief.delete("/api/accounts/administrator")
    assert answer.status_code == 400
    assert "last administrator" in answer.json()["message"]


def test_a_revoked_device_is_shown_as_revoked_and_put_on_record(own: Site) -> None:
    own.fill("pack-1", sound_frames())
    chief = own.sign_in("administrator")
    assert chief.get("/api/trust").json()["devices"][0]["revoked"] is False
    assert chief.post("/api/devices/pack-1/revoke").status_code == 204
    assert chief.get("/api/trust").json()["devices"][0]["revoked"] is True
    assert chief.post("/api/devices/pack-9/revoke").status_code == 400
    revoked = [row[2:] for row in own.audit() if row[1] == "revoke"]
    assert revoked == [("pack-1", "done"), ("pack-9", "failed")]


def test_the_first_administrator_is_made_once_and_gets_in(tmp_path: Path) -> None:
    hub = open_hub(tmp_path, Clock(time.time()))
    try:
        password = create_first_administrator(hub)
        assert password is not None
        assert len(password) == 24
        assert create_first_administrator(hub) is None
        found = Accounts(hub.store, hub.clock).find("admin")
        assert found is not None
        assert found[0].role is Role.ADMINISTRATOR
        assert password not in found[1]
    finally:
        hub.close()


def test_a_restart_signs_everybody_out(tmp_path: Path) -> None:
    with site(tmp_path) as first:
        first.add_people()
        cookies = dict(first.sign_in("viewer").cookies)
    with site(tmp_path) as second:
        assert second.client(cookies=cookies).get("/api/session").status_code == 401
        second.sign_in("viewer")
