"""The calls about profiles."""

from base64 import b64decode
from typing import Final

import msgspec
from starlette.responses import Response

from paidonce.errors import LogoNotFound, MerchantNotFound, WrongMerchant, WrongMode
from paidonce.http.operation import ResponseSpec, get, patch
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.merchants.model import Scope
from paidonce.profiles.actions import ChangeProfile, NewLogo, change_profiles, load_logos, load_profiles, make_logo
from paidonce.profiles.images import judge_image
from paidonce.profiles.model import LOGO_PATH
from paidonce.profiles.schemas import GetProfileParameters, ProfileResponse, UpdateProfileBody, profile_response

TAG: Final = "Profile"
# A picture that is opened by itself can do nothing, whatever a browser takes it for.
LOGO_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@get(
    "/profile",
    GetProfileParameters,
    operation_id="getProfile",
    scope=Scope.CHECKOUTS_READ,
    tag=TAG,
    summary="Get a merchant's profile",
    description="How the merchant appears to its buyers. Test and live mode have a profile each.",
    responses={200: ResponseSpec(description="As it is now.", schema=ProfileResponse)},
    errors=[MerchantNotFound, WrongMerchant, WrongMode],
)
async def get_profile(request: ApiRequest, parameters: GetProfileParameters) -> Response:
    """Return a profile."""
    tenant = request.tenant(parameters)
    await request.require_merchant(tenant.merchant_id)
    return json_response(profile_response(await request.service.reader.submit(load_profiles, tenant)))


@patch(
    "/profile",
    operation_id="updateProfile",
    scope=Scope.PROFILE_WRITE,
    tag=TAG,
    summary="Change a merchant's profile",
    description="An absent field stays as it is, and an empty text removes. Every process uses the change within 5 "
    "seconds.",
    body=UpdateProfileBody,
    body_example={"displayName": "Example Shop", "color": "#0a5c36", "supportEmail": "help@shop.example"},
    responses={200: ResponseSpec(description="As it is now.", schema=ProfileResponse)},
    errors=[MerchantNotFound, WrongMerchant, WrongMode],
)
async def update_profile(request: ApiRequest, body: UpdateProfileBody) -> Response:
    """Change a profile."""
    tenant = request.tenant(body, where="/merchantId")
    await request.require_merchant(tenant.merchant_id)
    change = ChangeProfile(
        tenant=tenant,
        display_name=_wanted(None if body.display_name is None else body.display_name.strip()),
        color=_wanted(None if body.color is None else body.color.lower()),
        checkout_page=msgspec.UNSET if body.checkout_page is None else body.checkout_page,
        support_email=_wanted(body.support_email),
        support_url=_wanted(body.support_url),
        logo=_logo(body.logo),
        origin=request.origin,
    )
    changed = await request.service.writer.submit(change_profiles, change)
    request.service.profiles.invalidate()
    return json_response(profile_response(changed))


@get(
    f"{LOGO_PATH}/{{logo_digest}}",
    operation_id="getLogo",
    tag="Buyers",
    summary="Get a merchant's logo, for buyers",
    description="Without an API key. The path is part of the profile, and always leads to the same bytes, so it may be "
    "cached for ever.",
    responses={
        200: ResponseSpec(
            description="The image: PNG, JPEG or WebP.",
            media_type="image/*",
        )
    },
    errors=[LogoNotFound],
)
async def get_logo(request: ApiRequest) -> Response:
    """Return a logo."""
    logo = await request.service.reader.submit(load_logos, request.path_value)
    return Response(b64decode(logo.content), 200, LOGO_HEADERS, logo.media_type)


def _wanted(given: str | None) -> str | msgspec.UnsetType | None:
    return msgspec.UNSET if given is None else given or None


def _logo(given: str | None) -> NewLogo | msgspec.UnsetType | None:
    if not given:
        return msgspec.UNSET if given is None else None
    return make_logo(given, judge_image(b64decode(given)))
