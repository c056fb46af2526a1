"""The call that searches for checkouts."""

from starlette.responses import Response

from paidonce.checkouts.http import show_checkouts
from paidonce.clock import parse_instant
from paidonce.errors import MerchantNotFound, WrongMerchant, WrongMode
from paidonce.http.operation import ResponseSpec, get
from paidonce.http.request import ApiRequest
from paidonce.http.responses import json_response
from paidonce.merchants.model import Scope, Tenant
from paidonce.search.finding import find_checkouts
from paidonce.search.model import Search
from paidonce.search.schemas import SearchParameters, SearchResponse, search_response


@get(
    "/checkouts/search",
    SearchParameters,
    operation_id="searchCheckouts",
    scope=Scope.CHECKOUTS_READ,
    summary="Search for checkouts",
    description="Newest first, of one merchant in one mode. Ids, keys and references are found at once, however many "
    "checkouts there are. Words are found within seconds after the checkout is created. For any other filter, one call "
    "examines a bounded number of checkouts: while `hasMore` is true, pass `searchedUpTo` as `startingAfter` to go on.",
    responses={200: ResponseSpec(description="What was found so far.", schema=SearchResponse)},
    errors=[WrongMerchant, WrongMode, MerchantNotFound],
)
async def search_checkouts(request: ApiRequest, parameters: SearchParameters) -> Response:
    """Return a page of what is found."""
    tenant = request.tenant(parameters)
    await request.require_merchant(tenant.merchant_id)
    page = await find_checkouts(request.service.reader, _search(parameters, tenant))
    return json_response(search_response(page, await show_checkouts(request, page.checkouts)))


def _search(parameters: SearchParameters, tenant: Tenant) -> Search:
    return Search(
        tenant=tenant,
        limit=parameters.limit,
        text=parameters.query,
        status=parameters.status,
        provider=parameters.provider,
        currency=parameters.currency,
        amount=parameters.amount,
        created_after=parse_instant(parameters.created_after) if parameters.created_after else None,
        created_before=parse_instant(parameters.created_before) if parameters.created_before else None,
        before=parameters.starting_after,
    )
