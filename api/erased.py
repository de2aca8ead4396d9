"""A token of somebody who was erased: it may be good for minutes more, but nothing is written for it.

In production the account is gone with the user: the same subject, signing in again, becomes a new account with a new
id, which the ledger does not know. A request that had looked up the old id is refused here. In development the id is
the token's own, and stays refused.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import UnauthorizedError
from deploy.erasing import ledger


async def refuse_erased(connection: AsyncConnection, user: str) -> None:
    """UnauthorizedError for a user in the ledger; call it in the transaction that writes, before it does."""
    if await ledger.erased_among(connection, {user}):
        raise UnauthorizedError("The account of this token was erased. Sign in again for a new one.")
