"""Image: what servers run in, built by a job, tested by a real completion before it counts.

WANTED before its job is submitted, BUILDING while it runs, READY once image.json stands on the shared file system,
FAILED with the builder's own sentence. An overlay (packages over an image, for one deployment) is built the same way.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lifecycle.errors import NotFound, Refused, SubmissionRefused
from lifecycle.imagefolder import image_folder, read_image
from lifecycle.jobs import JobState, Snapshot
from lifecycle.ledger import SERVICE, Ledger
from lifecycle.machine import Machine
from lifecycle.runfolder import read_json
from lifecycle.world import World

WANTED, BUILDING, READY, FAILED = "WANTED BUILDING READY FAILED".split()

IMAGE = Machine(
    "image",
    WANTED,
    {
        WANTED: {"submitted": BUILDING, "failed": FAILED},
        BUILDING: {"built": READY, "failed": FAILED},
        READY: {},
        FAILED: {},
    },
)


@dataclass(frozen=True, kw_only=True)
class Image:
    """A row of the ledger. `id` names its folder, and its job with "dz-image-" before it."""

    id: str
    reference: str  # "nightly", a release, a commit; of an overlay what is installed
    kind: str  # "venv", "apptainer", "enroot", "overlay"
    state: str
    since: float
    created_at: float
    created_by: str
    script: str
    handle: str | None
    digest: str
    reason: str
    next_step: str

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Image":
        return cls(**dict(row))

    @property
    def key(self) -> str:
        return f"dz-image-{self.id}"


def want(ledger: Ledger, image: str, reference: str, kind: str, *, by: str = SERVICE) -> bool:
    """Write down that it is wanted; the next tick submits its job. False: it is known already.

    One build of a reference at a time: Refused names the one that is on its way.
    """
    with ledger.write() as db:
        if find(db, image) is not None:
            return False
        for other in open_images(db):
            if (other.reference, other.kind) == (reference, kind):
                raise Refused(f"{other.id} is being built of {reference} already.", "`dayzero image list` shows it.")
        now = ledger.clock()
        db.execute(
            "INSERT INTO images (id, reference, kind, state, since, created_at, created_by)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (image, reference, kind, WANTED, now, now, by),
        )
        ledger.note("image.wanted", by=by, new=WANTED, detail={"image": image, "reference": reference, "kind": kind})
    return True


def find(db: sqlite3.Connection, image: str) -> Image | None:
    row = db.execute("SELECT * FROM images WHERE id = ?", (image,)).fetchone()
    return Image.of(row) if row else None


def every(db: sqlite3.Connection) -> list[Image]:
    return [Image.of(row) for row in db.execute("SELECT * FROM images ORDER BY created_at, id")]


def open_images(db: sqlite3.Connection) -> list[Image]:
    return [one for one in every(db) if one.state in (WANTED, BUILDING)]


def forget(ledger: Ledger, image: Image) -> None:
    """Delete the row of one that has ended, so that it may be wanted again under its name; its events stay."""
    with ledger.write() as db:
        db.execute("DELETE FROM images WHERE id = ? AND state IN (?, ?)", (image.id, READY, FAILED))


def step_image(world: World, image: Image, snapshot: Snapshot) -> None:
    """Take one step of one image."""
    STEPS[image.state](world, image, snapshot)


def _wanted(world: World, image: Image, snapshot: Snapshot) -> None:
    """The row is the intention; its key is the job's name, looked for before anything is submitted again."""
    again = image.script != ""
    handle = world.scheduler.find([image.key]).get(image.key) if again else None
    if handle is None:
        try:
            script = world.recipes.image(image.id, image.reference, image.kind)
            with world.ledger.write() as db:
                db.execute("UPDATE images SET script = ? WHERE id = ?", (str(script.path), image.id))
            handle = world.scheduler.submit(script)
        except (SubmissionRefused, NotFound, Refused) as refusal:
            _move(world, image, "failed", reason=str(refusal), next_step=refusal.next_step)
            return
    _move(world, image, "submitted", handle=handle)


def _building(world: World, image: Image, snapshot: Snapshot) -> None:
    seen = snapshot.look(image.handle or "")
    if seen.state is JobState.UNKNOWN or not seen.state.ended:
        return
    made = read_image(world.shared, image.id)
    if made is not None:
        _move(world, image, "built", digest=made["digest"], detail={"versions": made.get("versions", {})})
        return
    failure = read_json(image_folder(world.shared, image.id) / "failure.json")
    if failure and failure.get("job") == image.handle:
        _move(world, image, "failed", reason=failure["sentence"], next_step=failure.get("next_step", ""))
    elif seen.state is JobState.CANCELLED:
        _move(world, image, "failed", reason=f"Somebody cancelled job {image.handle}.", next_step="Build it again.")
    else:
        word = seen.word or seen.state.value
        sentence = f"Job {image.handle} ended as {word} without leaving a reason."
        _move(world, image, "failed", reason=sentence, next_step="Its log is in the image's folder.")


STEPS: dict[str, Callable[[World, Image, Snapshot], None]] = {WANTED: _wanted, BUILDING: _building}


def _move(world: World, image: Image, event: str, detail: Mapping | None = None, **set_: object) -> bool:
    new = IMAGE.next(image.state, event)
    columns = {"state": new, "since": world.clock(), **set_}
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    with world.ledger.write() as db:
        statement = f"UPDATE images SET {assignments} WHERE id = :id_ AND state = :state_"
        if db.execute(statement, {**columns, "id_": image.id, "state_": image.state}).rowcount != 1:
            return False
        about = {"image": image.id, "reference": image.reference, "kind": image.kind}
        about |= {"sentence": set_.get("reason", ""), "next_step": set_.get("next_step", ""), **(detail or {})}
        world.ledger.note(f"image.{event}", old=image.state, new=new, detail=about)
    return True
