"""Which image a plan is made with, and what goes over it."""

from dataclasses import replace

from batch.images.orders import checked_overlay, must_exist, uses_image
from lifecycle.errors import BadSettings, Refused
from lifecycle.imagefolder import current, overlay_id, read_image
from lifecycle.plans import Plan
from lifecycle.settings import Settings


def with_image(plan: Plan, settings: Settings, image: str | None, overlay: str | None) -> Plan:
    """`image`: an id of `dayzero image list`; None: the one that `nightly` points to. Raises Refused."""
    shared, reasons = settings.site.shared, list(plan.reasons)
    if not uses_image(settings, tuple(rung.runtime for rung in plan.ladder)):
        if image:
            raise Refused(
                "No runtime of this plan runs in an image.", "Write {image} into its command in the settings."
            )
        name, digest = "", ""
    else:
        name = image or current(shared) or ""
        if not name:
            raise Refused(
                "There is no image yet to serve in.", "`dayzero image build` makes one from the nightly build."
            )
        digest = must_exist(shared, name)["digest"]
        reasons.append(f"It runs in the image {name} ({digest[:19]}).")
    if overlay:
        overlay = " ".join(checked_overlay(overlay))
        reasons.append(f"Over that, for this deployment alone: {overlay}. Its code is run as it is.")
    return replace(plan, image=name, image_digest=digest, overlay=overlay or "", reasons=tuple(reasons))


def check(plan: Plan, settings: Settings) -> str:
    """The overlay's id ("" for none); raises BadSettings when image or overlay are not what was approved."""
    shared = settings.site.shared
    if plan.image:
        made = read_image(shared, plan.image)
        if made is None or made["digest"] != plan.image_digest:
            raise BadSettings(
                f"The image {plan.image} of the approved plan is not there any more.",
                "`dayzero image list` shows what is; make a new plan.",
            )
    if not plan.overlay:
        return ""
    overlay = overlay_id(plan.image, plan.overlay)
    if read_image(shared, overlay) is None:
        raise BadSettings(f"The overlay {plan.overlay} is not built.", "`dayzero image list` says why.")
    return overlay
