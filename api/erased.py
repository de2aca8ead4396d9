"""Tokens of somebody who was erased: they may be good for minutes more, but nothing is answered to them.

Every request of a token is refused from the moment in which the user stands in the ledger (`refuse_token`, asked when
the request comes in), and nothing is written for one that had come in before (`refuse_erased`, asked in the transaction
that writes). The refusal names the receipt's address: whoever lost the answer to `DELETE /v1/me` finds it there.

In production the account is gone with the user: the same subject, signing in again, becomes a new account with a new
id, which the ledger does not know. Until no token of before can be good any more, the subject is remembered by a hash:
a token that was given out before then opens no new account (`refuse_old_token`). In development the id is the token's
own, and stays refused.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import Detail, UnauthorizedError
from deploy.erasing import ledger, requests

RECEIPT = "/v1/erasures"
STANDS = text("select receipt_id from state.erased where user_hash = :hash")


async def refuse_erased(connection: AsyncConnection, user: str) -> None:
    """UnauthorizedError for a user in the ledger; call it in the transaction that writes, before it does."""
    if await ledger.erased_among(connection, {user}):
        raise _gone(await connection.scalar(STANDS, {"hash": ledger.hash_of(user)}))


async def refuse_token(connection: AsyncConnection, user: str) -> None:
    """The same for a request that comes in. It waits for nobody."""
    receipt_id = await connection.scalar(STANDS, {"hash": ledger.hash_of(user)})
    if receipt_id is not None:
        raise _gone(receipt_id)


async def refuse_old_token(connection: AsyncConnection, subject: str, expires: datetime, life: timedelta) -> None:
    """UnauthorizedError for a token of a subject without account, given out before its account was erased."""
    asked = await requests.of_subject(connection, subject)
    if asked is not None and expires <= asked[1] + life:
        raise _gone(asked[0])


def _gone(receipt_id: UUID | None) -> UnauthorizedError:
    details = [] if receipt_id is None else [Detail(field="receipt", message=f"{RECEIPT}/{receipt_id}")]
    return UnauthorizedError("The account of this token was erased. Sign in again for a new one.", details)
