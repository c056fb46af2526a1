"""The calls about provider accounts."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from paidonce import ids
from paidonce.errors import (
    EncryptionKeyMissing,
    FieldError,
    InvalidRequest,
    MerchantNotFound,
    ProviderAccountNotFound,
    ProviderAccountWrongMode,
    ProviderNotFound,
)
from paidonce.http.commands import Command, Repeat
from paidonce.http.fields import Fields
from paidonce.http.operation import ResponseSpec, exempt_post, get, post
from paidonce.http.rate_limits import count_wait
from paidonce.http.request import ApiRequest, refuse_two_cursors
from paidonce.http.responses import json_response
from paidonce.idempotency.model import StoredResponse
from paidonce.merchants.model import Mode, Scope, Tenant
from paidonce.provider_accounts.actions import (
    ChangeAccount,
    CreateAccount,
    change_accounts,
    create_accounts,
    list_accounts,
    load_accounts,
)
from paidonce.provider_accounts.credentials import find_faults
from paidonce.provider_accounts.model import AccountName, AccountStatus, ProviderAccount
from paidonce.provider_accounts.schemas import (
    AccountCheckResponse,
    AccountCommandBody,
    CreateAccountBody,
    ListAccountsParameters,
    MoveAccountBody,
    ProviderAccountPage,
    ProviderAccountResponse,
    RotateAccountBody,
    account_response,
)
from paidonce.provider_accounts.store import AccountFilter
from paidonce.providers.base import Connector

TAG: Final = "Providers"
CHANGED: Final = {200: ResponseSpec(description="As it is now.", schema=ProviderAccountResponse)}


async def _create_tenant(request: ApiRequest, body: CreateAccountBody) -> Tenant:
    merchant_id = request.merchant_id(body.merchant_id, where="/merchantId")
    return Tenant(merchant_id, _mode(request, body.mode) or Mode.TEST)


@post(
    "/provider-accounts",
    operation_id="createProviderAccount",
    scope=Scope.PROVIDERS_WRITE,
    tenant=_create_tenant,
    tag=TAG,
    summary="Add a merchant's account with a payment provider",
    description="The credentials are stored encrypted and never shown again. Nothing is sent to the provider: "
    "`/check` tells whether it accepts them. A merchant's test key adds test accounts, and a live key live accounts; "
    "an operator's key names the `mode`, which is `test` by default.",
    body=CreateAccountBody,
    body_required=True,
    body_example={"provider": "stripe", "credentials": {"secretKey": "(from the provider)"}},
    responses={201: ResponseSpec(description="The account.", schema=ProviderAccountResponse, headers=["Location"])},
    errors=[MerchantNotFound, ProviderAccountNotFound, ProviderAccountWrongMode, EncryptionKeyMissing],
)
async def create_account(request: ApiRequest, body: CreateAccountBody) -> Command[CreateAccount, ProviderAccount]:
    """Add an account."""
    connections = request.service.provider_accounts
    opener = connections.opener
    merchant_id = request.merchant_id(body.merchant_id, where="/merchantId")
    mode = _mode(request, body.mode) or Mode.TEST
    await request.require_merchant(merchant_id)
    connector = opener.connectors.get(body.provider)
    if connector is None:
        known = ", ".join(sorted(opener.connectors))
        raise InvalidRequest([FieldError("/provider", "unknown_value", f"The providers are: {known}.")])
    _check_credentials(connector, mode, body.credentials)
    account_id = ids.new_id(ids.PROVIDER_ACCOUNT)
    sealed = opener.seal(body.provider, body.credentials, merchant_id=merchant_id, account_id=account_id)

    async def respond_again(repeat: Repeat) -> Response:
        connections.invalidate()  # It may have been another process that added it.
        return _respond_created(await _load(request, repeat.resource_id))

    async def respond(account: ProviderAccount) -> Response:
        connections.invalidate()
        return _respond_created(account)

    return Command(
        action=create_accounts,
        params=CreateAccount(
            id=account_id,
            merchant_id=merchant_id,
            provider=body.provider,
            mode=mode,
            name=body.name or connector.display_name,
            credentials=sealed.credentials,
            hints=sealed.hints,
            origin=request.origin,
        ),
        summarize=summarize_created,
        respond=respond,
        respond_again=respond_again,
    )


@get(
    "/provider-accounts",
    ListAccountsParameters,
    operation_id="listProviderAccounts",
    scope=Scope.PROVIDERS_READ,
    tag=TAG,
    summary="List provider accounts",
    description="Newest first, by pages: pass the last id as `startingAfter` for the next. A merchant's key sees the "
    "accounts of its own mode.",
    responses={200: ResponseSpec(description="A page; it holds no secret.", schema=ProviderAccountPage)},
    errors=[ProviderAccountWrongMode],
)
async def get_accounts(request: ApiRequest, parameters: ListAccountsParameters) -> Response:
    """Return a page of accounts."""
    merchant_id = request.merchant_id_if_named(parameters.merchant_id)
    refuse_two_cursors(parameters.starting_after, parameters.ending_before)
    wanted = AccountFilter(
        limit=parameters.limit,
        merchant_id=merchant_id,
        provider=parameters.provider,
        mode=_mode(request, parameters.mode),
        starting_after=parameters.starting_after,
        ending_before=parameters.ending_before,
    )
    page, has_more = await request.service.reader.submit(list_accounts, wanted)
    return json_response(ProviderAccountPage([account_response(one) for one in page], has_more))


@get(
    "/provider-accounts/{account_id}",
    operation_id="getProviderAccount",
    scope=Scope.PROVIDERS_READ,
    tag=TAG,
    summary="Get a provider account",
    responses={200: ResponseSpec(description="As it is now.", schema=ProviderAccountResponse)},
    errors=[ProviderAccountNotFound],
)
async def get_account(request: ApiRequest) -> Response:
    """Return an account."""
    return json_response(account_response(await _load(request)))


async def _account_tenant(request: ApiRequest, _body: Fields) -> Tenant:
    """Tell whose the account in the path is; raises ProviderAccountNotFound."""
    account = await _load(request)
    return Tenant(account.merchant_id, account.mode)


@post(
    "/provider-accounts/{account_id}/rotate",
    operation_id="rotateProviderAccount",
    scope=Scope.PROVIDERS_WRITE,
    tenant=_account_tenant,
    tag=TAG,
    summary="Replace the credentials of a provider account",
    description="Every process uses the new credentials within 5 seconds. They must belong to the same account at the "
    "provider, because payments that were made with the old ones are captured and refunded with the new ones.",
    body=RotateAccountBody,
    body_required=True,
    body_example={"credentials": {"secretKey": "(from the provider)"}},
    responses=CHANGED,
    errors=[ProviderAccountNotFound, ProviderNotFound, EncryptionKeyMissing],
)
async def rotate_account(request: ApiRequest, body: RotateAccountBody) -> Command[ChangeAccount, ProviderAccount]:
    """Replace the credentials of an account."""
    found = await _load(request)
    opener = request.service.provider_accounts.opener
    _check_credentials(opener.connector(found.provider), Mode(found.mode), body.credentials)
    sealed = opener.seal(found.provider, body.credentials, merchant_id=found.merchant_id, account_id=found.id)
    return _change(request, found, credentials=sealed.credentials, hints=sealed.hints)


@post(
    "/provider-accounts/{account_id}/position",
    operation_id="moveProviderAccount",
    scope=Scope.PROVIDERS_WRITE,
    tenant=_account_tenant,
    tag=TAG,
    summary="Change the place of a provider account in the order of preference",
    description="A payment that names no account uses the merchant's active account with the lowest position.",
    body=MoveAccountBody,
    body_required=True,
    body_example={"position": 1},
    responses=CHANGED,
    errors=[ProviderAccountNotFound],
)
async def move_account(request: ApiRequest, body: MoveAccountBody) -> Command[ChangeAccount, ProviderAccount]:
    """Change the place of an account."""
    return _change(request, await _load(request), position=body.position)


@post(
    "/provider-accounts/{account_id}/disable",
    operation_id="disableProviderAccount",
    scope=Scope.PROVIDERS_WRITE,
    tenant=_account_tenant,
    tag=TAG,
    summary="Disable a provider account",
    description="It takes no new payments. Those that were begun with it go on: they are looked up, its webhooks are "
    "accepted, and what was paid can be captured, canceled and refunded. Disabling it again changes nothing.",
    body=AccountCommandBody,
    responses=CHANGED,
    errors=[ProviderAccountNotFound],
)
async def disable_account(request: ApiRequest, _body: AccountCommandBody) -> Command[ChangeAccount, ProviderAccount]:
    """Disable an account."""
    return _change(request, await _load(request), status=AccountStatus.DISABLED)


@post(
    "/provider-accounts/{account_id}/enable",
    operation_id="enableProviderAccount",
    scope=Scope.PROVIDERS_WRITE,
    tenant=_account_tenant,
    tag=TAG,
    summary="Enable a provider account",
    description="It can be used again. Enabling it again changes nothing.",
    body=AccountCommandBody,
    responses=CHANGED,
    errors=[ProviderAccountNotFound],
)
async def enable_account(request: ApiRequest, _body: AccountCommandBody) -> Command[ChangeAccount, ProviderAccount]:
    """Enable an account."""
    return _change(request, await _load(request), status=AccountStatus.ACTIVE)


@exempt_post(
    "/provider-accounts/{account_id}/check",
    operation_id="checkProviderAccount",
    scope=Scope.PROVIDERS_READ,
    tag=TAG,
    summary="Check the credentials of a provider account",
    description="Calls the provider with the credentials, without any effect, and tells what is wrong. A disabled "
    "account can be checked too.",
    because="It has no effect, here or at the provider, and each call asks the provider anew.",
    body=AccountCommandBody,
    responses={200: ResponseSpec(description="What is wrong, if anything.", schema=AccountCheckResponse)},
    errors=[ProviderAccountNotFound, ProviderNotFound, EncryptionKeyMissing],
)
async def check_account(request: ApiRequest, _body: AccountCommandBody) -> Response:
    """Check the credentials of an account."""
    account = await _load(request)
    count_wait(request.context)  # A provider may be slow, and other requests must not wait for it.
    return json_response(AccountCheckResponse(await request.service.provider_accounts.check(account)))


def summarize_created(_params: object, outcome: ProviderAccount) -> StoredResponse:
    """Store which account was added."""
    return StoredResponse(201, f"/provider-accounts/{outcome.id}")


def summarize_changed(_params: object, outcome: ProviderAccount) -> StoredResponse:
    """Store which account was changed."""
    return StoredResponse(200, f"/provider-accounts/{outcome.id}")


def _mode(request: ApiRequest, named: str | None) -> Mode | None:
    """Tell which mode the request is about; None where the caller may act in both and names none.

    Raises ProviderAccountWrongMode.
    """
    own = request.caller.mode
    if named is not None and own not in (None, named):
        assert own is not None, "as above"
        raise ProviderAccountWrongMode(own)
    return own if named is None else Mode(named)


def _check_credentials(connector: Connector, mode: Mode, credentials: Mapping[str, str]) -> None:
    faults = find_faults(connector, mode.value, credentials)
    if faults:
        raise InvalidRequest(faults)


async def _load(request: ApiRequest, account_id: str | None = None) -> ProviderAccount:
    """Load an account, that of the path unless another is given, for this caller; raises ProviderAccountNotFound."""
    caller = request.caller
    name = AccountName(account_id or request.path_value, caller.merchant_id, caller.mode)
    return await request.service.reader.submit(load_accounts, name)


def _change(
    request: ApiRequest,
    found: ProviderAccount,
    **changes: Any,  # noqa: ANN401 - the fields of ChangeAccount
) -> Command[ChangeAccount, ProviderAccount]:
    """Change an account that this caller has found."""
    connections = request.service.provider_accounts

    async def respond(changed: ProviderAccount) -> Response:
        connections.invalidate()
        return json_response(account_response(changed))

    async def respond_again(repeat: Repeat) -> Response:
        connections.invalidate()  # It may have been another process that changed it.
        return json_response(account_response(await _load(request, repeat.resource_id)))

    return Command(
        action=change_accounts,
        params=ChangeAccount(name=AccountName(found.id, found.merchant_id), origin=request.origin, **changes),
        summarize=summarize_changed,
        respond=respond,
        respond_again=respond_again,
    )


def _respond_created(account: ProviderAccount) -> Response:
    return json_response(account_response(account), 201, {"Location": f"/provider-accounts/{account.id}"})
