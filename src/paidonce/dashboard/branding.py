"""How a merchant appears to its buyers: the profile, with a preview."""

from base64 import b64encode
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta
from starlette.datastructures import UploadFile
from starlette.responses import Response

from paidonce.dashboard import paths
from paidonce.dashboard.declarations import action, page
from paidonce.dashboard.forms import Form
from paidonce.dashboard.operations import run_operation
from paidonce.dashboard.request import DashboardRequest
from paidonce.errors import FieldError, InvalidRequest
from paidonce.profiles.http import get_profile, update_profile
from paidonce.profiles.images import SIDE_MAX
from paidonce.profiles.model import LOGO_BYTES_MAX
from paidonce.users.model import Role

PATH: Final = f"{paths.TENANT}/branding"
Typed = Annotated[str, Meta(max_length=2048)]


class BrandingForm(Form, frozen=True, kw_only=True):
    """The whole profile: what is left empty is removed. The logo stays, unless another is sent or it is removed."""

    audited: ClassVar = ("display_name", "color", "support_email", "support_url", "checkout_page", "remove_logo")

    display_name: Typed | None = None
    color: Typed | None = None
    support_email: Typed | None = None
    support_url: Typed | None = None
    checkout_page: bool = False
    remove_logo: bool = False


@page(PATH, role=Role.ADMIN)
async def branding(request: DashboardRequest) -> Response:
    """Show the profile in a form, and what buyers see of it."""
    values = {
        "profile": await run_operation(request, get_profile),
        "logo_bytes_max": LOGO_BYTES_MAX,
        "logo_side_max": SIDE_MAX,
    }
    return request.page("branding.html", values, title="Branding")


@action(PATH, role=Role.ADMIN, form=BrandingForm, shows=branding)
async def change_branding(request: DashboardRequest, form: BrandingForm) -> Response:
    """Change the profile."""
    body: dict[str, Any] = {
        "displayName": form.display_name or "",
        "color": form.color or "",
        "supportEmail": form.support_email or "",
        "supportUrl": form.support_url or "",
        "checkoutPage": form.checkout_page,
    }
    assert request.received is not None, "an action has a form"
    sent = request.received.files.get("logo")
    if sent is not None:
        body["logo"] = await _read_logo(sent)
    elif form.remove_logo:
        body["logo"] = ""
    await run_operation(request, update_profile, body=body)
    return request.done(f"{request.tenant_path}/branding", "The branding was changed.")


async def _read_logo(sent: UploadFile) -> str:
    """Read what was sent as a logo; raises InvalidRequest where it is too large."""
    if sent.size is None or sent.size > LOGO_BYTES_MAX:
        raise InvalidRequest([FieldError("/logo", "out_of_range", f"The image has more than {LOGO_BYTES_MAX} bytes.")])
    return b64encode(await sent.read()).decode()
