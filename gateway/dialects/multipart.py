"""Forms with a file in them, as callers of the audio API send them. Pure."""

import re
from email.message import Message

from gateway.errors import ApiError, bad_request

_LINES = b"\r\n"


def fields(form: bytes, content_type: str) -> dict[str, str]:
    """The form's short texts by name; files are only named: "". ApiError(400) when it is no form."""
    found: dict[str, str] = {}
    for head, content in _parts(form, content_type):
        name, is_file = _name(head)
        if name:
            found[name] = "" if is_file else content[:65536].decode("utf-8", "replace")
    return found


def file(form: bytes, content_type: str, name: str) -> tuple[str, bytes]:
    """(name, content) of the file in that field."""
    for head, content in _parts(form, content_type):
        if _name(head) == (name, True):
            line = re.search(rb'(?i)filename="([^"\r\n]{1,200})"', head)
            return line.group(1).decode("utf-8", "replace") if line else name, content
    raise bad_request(f"The form has no file named `{name}`. Send it as multipart/form-data.")


def replace(form: bytes, content_type: str, name: str, value: str) -> bytes:
    """The same form with another text in the field `name`."""
    delimiter = b"--" + _boundary(content_type)
    parts = []
    for head, content in _parts(form, content_type):
        content = value.encode() if _name(head) == (name, False) else content
        parts.append(delimiter + _LINES + head + _LINES * 2 + content + _LINES)
    return b"".join(parts) + delimiter + b"--" + _LINES


def _parts(form: bytes, content_type: str) -> list[tuple[bytes, bytes]]:
    pieces = (_LINES + form).split(_LINES + b"--" + _boundary(content_type))
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise _no_form()
    parts = []
    for piece in pieces[1:-1]:
        head, gap, content = piece.removeprefix(_LINES).partition(_LINES * 2)
        if not gap:
            raise _no_form()
        parts.append((head, content))
    return parts


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise _no_form()
    return boundary.encode("latin-1", "replace")


def _name(head: bytes) -> tuple[str, bool]:
    """(the field's name, it is a file)"""
    line = re.search(rb"(?im)^content-disposition:([^\r\n]*)", head)
    message = Message()
    message["content-disposition"] = line.group(1).decode("utf-8", "replace").strip() if line else ""
    name = message.get_param("name", "", "content-disposition")
    return str(name or ""), message.get_param("filename", None, "content-disposition") is not None


def _no_form() -> ApiError:
    return bad_request("The request's body is no multipart form. Send `file` and `model` as multipart/form-data.")
