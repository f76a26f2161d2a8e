"""How the Hub says no."""

from starlette.responses import JSONResponse


class Refusal(Exception):
    """An answer that is no: HTTP status, the Hub's X-Error-Code (or nothing), and the sentence it sends."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence

    def response(self) -> JSONResponse:
        """As the Hub sends it: the sentence twice, the code in a header."""
        headers = {"X-Error-Message": self.sentence.encode("ascii", "replace").decode()}
        if self.code:
            headers["X-Error-Code"] = self.code
        return JSONResponse({"error": self.sentence}, self.status, headers=headers)


def no_repo(known_user: bool) -> Refusal:
    """Missing and private look alike; a stranger is asked to log in first."""
    return Refusal(404 if known_user else 401, "RepoNotFound", "Repository not found")


def no_revision(revision: str) -> Refusal:
    return Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")


def no_entry(path: str) -> Refusal:
    return Refusal(404, "EntryNotFound", f"Entry not found: {path}")
