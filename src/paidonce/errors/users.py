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


class InvalidLogin(PaidonceError):
    """The e-mail address, the password or the code is wrong, or the user is disabled."""

    code = "invalid_login"

    def __init__(self, what: str = "The e-mail address or the password is wrong.") -> None:
        super().__init__(what)


class InvalidLink(PaidonceError):
    """The one-time link was used, has expired, or was replaced."""

    code = "invalid_link"

    def __init__(self) -> None:
        super().__init__("This link was used, or has expired. Ask for a new one: `paidonce users link` prints one.")


class UserNotFound(PaidonceError):
    """There is no such user for the person who asks."""

    code = "user_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such user.")


class EmailTaken(PaidonceError):
    """Another user has this e-mail address."""

    code = "email_taken"

    def __init__(self) -> None:
        super().__init__("Another user has this e-mail address.")


class LastOperator(PaidonceError):
    """The user is the last operator who is not disabled."""

    code = "last_operator"

    def __init__(self) -> None:
        super().__init__("This is the last operator. Create another operator first.")
