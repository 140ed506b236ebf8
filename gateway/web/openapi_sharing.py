"""Of /openapi.json what brings rows to recipients."""

from typing import Any

from gateway.web.openapi_calls import ALL, call, ref

TEXT = {"type": "string"}
RECIPIENT = {"name": "recipient", "in": "path", "required": True, "schema": TEXT}
SHARED: list[dict[str, Any]] = [
    RECIPIENT,
    {"name": "Prefer", "in": "header", "description": "return=minimal: the summary alone, any number of rows",
     "schema": TEXT},
    {"name": "Gateway-Job", "in": "header", "description": "a name for what is posted again where it stopped",
     "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}},
]  # fmt: skip
NOBODY = {"x-404": "no such recipient"}


def paths() -> dict[str, Any]:
    return {
        "/v1/shares/{recipient}": {
            "post": call("Rows to a recipient", {"200": "a line a row, then the summary"}, body=ref("Row"), lines=True,
                         errors=(*ALL, "503"), parameters=SHARED) | NOBODY
        },
    }  # fmt: skip
