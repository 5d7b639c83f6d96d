"""Every route, every role: what the table says is what happens."""

import re

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, Route

from cellwarden.errors import UsageError
from cellwarden.hub.roles import OPEN, RIGHTS, Role, check_declared, row_for
from cellwarden.trust.identity import Identity
from hub.fleet import Site

# What a request needs so that only the role decides; bodies are wrong on purpose where a right
# one would change something.
_FILLED = {
    "{device}": "pack-1",
    "{receipt_id}": "none",
    "{table}": "pack",
    "{user}": "nobody",
}
_REFUSED = (401, 403)
_LIVE = "/api/events"


def _ask(client: httpx.Client, method: str, path: str) -> int:
    for mark, value in _FILLED.items():
        path = path.replace(mark, value)
    path = path.replace("/devices/pack-1/", "/devices/nothing/")
    body = {} if method == "POST" else None
    with client.stream(method, path, json=body) as answer:
        return answer.status_code


ROUTES = sorted(
    (method, path)
    for method, path in RIGHTS
    if (method, path) not in {("DELETE", "/api/session"), ("POST", "/api/session")}
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_role_gets_what_the_table_grants_and_nothing_else(
    hub: Site, people: dict[Role, httpx.Client], method: str, path: str
) -> None:
    granted = RIGHTS[method, path]
    for role, client in people.items():
        status = _ask(client, method, path)
        assert status != 401
        assert status < 500
        assert (status == 403) == (granted is not OPEN and role not in granted), (role, status)
    assert _ask(hub.client(), method, path) == (401 if granted is not OPEN else 200)


def test_every_route_of_the_application_is_in_the_table_and_the_other_way_round(hub: Site) -> None:
    found = {
        (method, route.path)
        for route in iter_route_contexts(hub.app.routes)
        for method in route.methods or ()
    }
    assert found == set(RIGHTS)


def test_a_route_without_a_row_keeps_the_application_from_starting() -> None:
    async def open_door() -> None: ...

    app = FastAPI(openapi_url=None)
    app.get("/api/door")(open_door)
    with pytest.raises(UsageError, match="/api/door"):
        check_declared(app.routes)
    router = APIRouter(prefix="/api")
    router.delete("/fleet")(open_door)
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    with pytest.raises(UsageError, match="DELETE /api/fleet"):
        check_declared(app.routes)
    for route in (Mount("/side", app), Route("/plain", lambda _request: None)):
        with pytest.raises(UsageError):
            check_declared([route])


def test_a_route_that_is_added_later_without_a_row_cannot_be_reached(hub: Site) -> None:
    async def leak() -> dict[str, str]:
        return {"secret": "everything"}

    before = len(hub.app.router.routes)
    hub.app.get("/api/leak")(leak)
    try:
        answer = hub.client().get("/api/leak")
        assert answer.status_code == 404
        assert "everything" not in answer.text
    finally:
        del hub.app.router.routes[before:]


@pytest.mark.parametrize(
    "path",
    [
        "/api/fleet/",
        "//api/fleet",
        "/API/fleet",
        "/api/%66leet%2f",
        "/api/fleet;x",
    ],
)
def test_a_path_spelled_otherwise_gives_no_data(hub: Site, path: str) -> None:
    answer = hub.client().get(path)
    assert "batteries" not in answer.text
    assert row_for("GET", path) is None


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "OPTIONS", "TRACE", "FLEET"])
def test_other_methods_are_not_served(hub: Site, method: str) -> None:
    assert hub.client().request(method, "/api/fleet").status_code in (400, 404)


def test_an_operators_certificate_carries_its_role_and_a_devices_none(hub: Site) -> None:
    with hub.operator(Identity("operator", "eve", "auditor")) as auditor:
        assert auditor.get("/api/session").json() == {"user": "eve", "role": "auditor", "csrf": ""}
        assert auditor.get("/api/export/pack?format=csv").status_code == 200
        assert auditor.get("/api/accounts").status_code == 403
        assert auditor.post("/api/verify").json()["ok"] is True
    assert ("certificate:eve", "verify", "", "holds") in hub.audit()
    for stranger in (
        Identity("device", "pack-1"),
        Identity("operator", "eve", "root"),
    ):
        with hub.operator(stranger) as client:
            assert client.get("/api/fleet").status_code == 401


def test_a_certificate_in_a_browser_does_not_help_another_page(hub: Site) -> None:
    with hub.operator(Identity("operator", "eve", "administrator")) as client:
        for header in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            answer = client.post(
                "/api/accounts", json={"user": "x", "role": "viewer"}, headers=header
            )
            assert answer.status_code == 403


def test_each_right_stands_in_the_description_of_the_interface(
    people: dict[Role, httpx.Client],
) -> None:
    told = people[Role.VIEWER].get("/openapi.json").json()
    described = {
        (method.upper(), path) for path, routes in told["paths"].items() for method in routes
    }
    assert described == set(RIGHTS) - {("GET", "/openapi.json")}
    fleet = told["paths"]["/api/fleet"]["get"]["responses"]["200"]["content"]["application/json"]
    assert re.fullmatch(r"#/components/schemas/Fleet", fleet["schema"]["$ref"])
    battery = told["components"]["schemas"]["Battery"]["properties"]
    assert {"soc_fraction", "health", "worst_finding", "receipt_id"} <= set(battery)
