"""A request that was admitted: what its handler is given."""

from collections.abc import Collection
from typing import TypeVar

import msgspec
from starlette.requests import Request

from paidonce import ids
from paidonce.errors import FieldError, InvalidRequest, WrongMerchant, WrongMode
from paidonce.events.model import Origin
from paidonce.http.context import RequestContext, context_in, prefix_in
from paidonce.http.fields import Fields, read_body, read_parameters
from paidonce.http.headers import header_of, read_idempotency_key
from paidonce.http.tenancy import TenantFields
from paidonce.merchants.actions import load_merchants
from paidonce.merchants.model import Caller, Mode, Tenant, TenantFilter, TenantScopedId
from paidonce.service import Service

T = TypeVar("T", bound=Fields)


class NoParameters(Fields, frozen=True, kw_only=True):
    """This call takes no parameters."""


class ApiRequest(msgspec.Struct, frozen=True):
    """``http`` is what came in, ``service`` the running parts, ``path_value`` the last variable part of the path."""

    http: Request
    service: Service
    path_value: str = ""

    @property
    def context(self) -> RequestContext:
        """What is known of the request beside what was sent."""
        return context_in(self.http.scope)

    @property
    def caller(self) -> Caller:
        """Who makes the request."""
        return self.context.caller

    @property
    def origin(self) -> Origin:
        """Where a change comes from: the request's id and, if it bears one, its idempotency key.

        Raises InvalidIdempotencyKey.
        """
        key = read_idempotency_key(header_of(self.http, b"idempotency-key"))
        return Origin(self.context.id, key, self.caller.actor)

    @property
    def resource(self) -> TenantScopedId:
        """The resource that the path names, for this caller alone: another merchant's, or one of the other mode, is
        not found.
        """
        return self.scoped_id(self.path_value)

    def new_return_url(self) -> str:
        """Make a URL, which nobody can guess, to which a provider sends a buyer back."""
        return new_return_url(self.http, self.service)

    def absolute_url(self, path: str) -> str:
        """Return the URL of a path of this service, as buyers reach it."""
        return f"{public_url(self.http, self.service)}{path}"

    def scoped_id(self, resource_id: str) -> TenantScopedId:
        """Name a resource for this caller alone, as in ``resource``."""
        return self.caller.scoped_id(resource_id)

    async def read_body(self, kind: type[T], *, required: Collection[str] = ()) -> T:
        """Read the body as JSON; raises what ``fields.read_body`` raises. Query parameters are refused."""
        self.refuse_parameters()
        content_type = header_of(self.http, b"content-type") or ""
        return read_body(kind, await self.body(), content_type, required=required)

    async def body(self) -> bytes:
        """Read the whole body. ``RequestLimits`` bounds it, and raises where it ends before it is complete.

        Starlette reads it through a generator of pieces, which takes a twentieth of the time of a create.
        """
        parts = []
        more_body = True
        while more_body:
            message = await self.http.receive()
            parts.append(message.get("body", b""))
            more_body = message.get("more_body", False)
        return b"".join(parts)

    def read_parameters(self, kind: type[T]) -> T:
        """Read the query parameters; raises InvalidRequest."""
        return read_parameters(kind, self.http.query_params.multi_items())

    def refuse_parameters(self) -> None:
        """Raise InvalidRequest where there are query parameters."""
        if self.http.scope["query_string"]:
            self.read_parameters(NoParameters)

    def tenant(self, named: TenantFields, *, where: str = "merchantId") -> Tenant:
        """Tell which merchant the request is about, and in which mode: test for a caller without one that names none.

        ``where`` points to the field that names the merchant. Raises WrongMerchant, WrongMode, or InvalidRequest where
        no merchant is named.
        """
        merchant_id = self.merchant_id(named.merchant_id, where=where)
        return Tenant(merchant_id, self._mode_if_named(named.mode) or Mode.TEST.value)

    def tenant_filter(self, named: TenantFields) -> TenantFilter:
        """Tell whose data the request is to list: a caller without a merchant or a mode may name one or not.

        Raises WrongMerchant or WrongMode.
        """
        return TenantFilter(self.merchant_id_if_named(named.merchant_id), self._mode_if_named(named.mode))

    def _mode_if_named(self, named: str | None) -> str | None:
        own = self.caller.mode
        if named is not None and own is not None and named != own:
            raise WrongMode(f"This API key belongs to the {own} mode. Omit mode, or use a key of the other mode.")
        return named or (None if own is None else own.value)

    def merchant_id(self, named: str | None, *, where: str = "merchantId") -> str:
        """Tell which merchant the request is about: the caller's own, or, for a caller without one, the one it names.

        ``where`` points to the field that names it. Raises WrongMerchant, or InvalidRequest where none is named.
        """
        merchant_id = self.merchant_id_if_named(named)
        if merchant_id is None:
            raise InvalidRequest([FieldError(where, "missing", "This field is required.")])
        return merchant_id

    def merchant_id_if_named(self, named: str | None) -> str | None:
        """Tell which merchant the request is about; None where a caller without one names none.

        Raises WrongMerchant.
        """
        own = self.caller.merchant_id
        if named is not None and own not in (None, named):
            raise WrongMerchant
        return named or own

    async def require_merchant(self, merchant_id: str | None) -> None:
        """Raise MerchantNotFound where an operator's API key names a merchant that does not exist.

        While keys are off a merchant is created by first use, and a merchant that has an API key exists.
        """
        if merchant_id is not None and self.caller.merchant_id is None and self.caller.key_id is not None:
            await self.service.reader.submit(load_merchants, merchant_id)


def new_return_url(http: Request, service: Service) -> str:
    """Make a URL, which nobody can guess, to which a provider sends a buyer back."""
    return f"{public_url(http, service)}/return/{ids.new_return_token()}"


def public_url(http: Request, service: Service) -> str:
    """Return the URL at which buyers reach this service, without a slash at its end: as the setting says, or as this
    request has it.
    """
    set_url = service.settings.public_url
    if set_url:
        return set_url.rstrip("/")
    host = header_of(http, b"host")
    if host is None:
        return str(http.base_url).rstrip("/")  # A request of HTTP/1.0 may have no Host.
    return f"{http.scope['scheme']}://{host}{prefix_in(http.scope)}"


def refuse_two_cursors(starting_after: str | None, ending_before: str | None) -> None:
    """Raise InvalidRequest where a list is asked for in both directions."""
    if starting_after and ending_before:
        detail = "Give startingAfter or endingBefore, not both."
        raise InvalidRequest([FieldError("endingBefore", "contradiction", detail)])
