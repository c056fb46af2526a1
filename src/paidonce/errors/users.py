"""Errors of people who use the dashboard."""

from paidonce.errors.base import PaidonceError


class NotLoggedIn(PaidonceError):
    """Nobody is logged in, or the session has ended."""

    code = "not_logged_in"

    def __init__(self) -> None:
        super().__init__("You are not logged in, or your session has ended. Nothing was changed. Log in and try again.")


class InsufficientRole(PaidonceError):
    """The person's role does not permit this."""

    code = "insufficient_role"

    def __init__(self, role: str) -> None:
        super().__init__(f"This needs the role {role}. An administrator can change your role.")


class InvalidCsrfToken(PaidonceError):
    """The form was not sent from a page of this session."""

    code = "invalid_csrf_token"

    def __init__(self) -> None:
        super().__init__(
            "This form does not come from a page of your session. Nothing was changed. Load the page again."
        )
