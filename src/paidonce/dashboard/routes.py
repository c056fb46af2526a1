"""All pages and actions of the dashboard. ``tests/isolation/dashboard_routes.py`` has a line for each."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

from paidonce.dashboard import (
    account,
    audit,
    branding,
    deliveries,
    events,
    home,
    keys,
    log_in,
    merchants,
    operator_review,
    paths,
    provider_accounts,
    review,
    settings,
    users,
    webhooks,
)
from paidonce.dashboard.declarations import Declaration
from paidonce.dashboard.endpoint import DashboardEndpoint
from paidonce.dashboard.log_in_guard import LogInGuard
from paidonce.dashboard.overview import page as overview
from paidonce.dashboard.payments import actions, detail, export, listing
from paidonce.service import Service

DECLARATIONS: Final[tuple[Declaration, ...]] = (
    home.home,
    overview.overview,
    listing.list_payments,
    export.export_payments,
    detail.show_payment,
    actions.capture_payment,
    actions.cancel_payment,
    actions.refund_payment,
    review.review,
    review.attempt_review,
    webhooks.webhooks,
    webhooks.create_webhook_endpoint,
    webhooks.webhook_endpoint,
    webhooks.change_webhook_endpoint,
    webhooks.pause_webhook_endpoint,
    webhooks.resume_webhook_endpoint,
    webhooks.delete_webhook_endpoint,
    webhooks.rotate_webhook_secret,
    webhooks.send_test_event,
    webhooks.redeliver_range,
    webhooks.redeliver_failed,
    deliveries.delivery,
    deliveries.redeliver,
    events.events,
    events.event_stream,
    events.event,
    keys.keys,
    keys.create_key,
    keys.rotate_key,
    keys.revoke_key,
    provider_accounts.accounts,
    provider_accounts.add_account,
    provider_accounts.account,
    provider_accounts.check_account,
    provider_accounts.rotate_account,
    provider_accounts.move_account,
    provider_accounts.disable_account,
    provider_accounts.enable_account,
    operator_review.operator_review,
    operator_review.operator_attempt,
    operator_review.resolve_attempt,
    operator_review.replay_webhook,
    operator_review.dismiss_webhook,
    merchants.merchants,
    merchants.create_merchant,
    keys.operator_keys,
    keys.revoke_operator_key,
    settings.settings,
    log_in.log_in_page,
    log_in.log_in,
    log_in.second_factor_page,
    log_in.second_factor,
    log_in.link_page,
    log_in.use_link,
    log_in.log_out,
    account.account,
    account.change_password,
    account.second_factor_setup,
    account.set_up_second_factor,
    account.remove_second_factor,
    account.end_other_sessions,
    account.end_session,
    branding.branding,
    branding.change_branding,
    users.merchant_users,
    users.create_merchant_user,
    users.change_merchant_user,
    users.all_users,
    users.create_user,
    users.change_user,
    audit.merchant_audit_log,
    audit.audit_log,
)


def dashboard_routes(service: Service, declarations: Sequence[Declaration] = DECLARATIONS) -> list[Route]:
    """Make Starlette's routes, one for each path, in the order of the table: the first that matches is taken. Any other
    path below the dashboard's is answered with a page, too.
    """
    guard = LogInGuard()
    by_path: dict[str, list[Declaration]] = {}
    for one in declarations:
        by_path.setdefault(one.path, []).append(one)
    declared = frozenset(one.path for one in declarations if one.method == "GET")
    routes = [
        Route(f"{paths.PATH}{path}", DashboardEndpoint(of_path, service, declared, guard))
        for path, of_path in by_path.items()
    ]
    return [*routes, Route(f"{paths.PATH}/{{unknown:path}}", DashboardEndpoint([], service, declared, guard))]
