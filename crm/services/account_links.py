"""Links that let a person set their password once: an invitation, or a reset."""

from __future__ import annotations

from sqlalchemy import func, select, update

from crm.db import db
from crm.errors import NotFound
from crm.lib.crypto import hash_token, new_token
from crm.models import AccountLink, LinkPurpose, User
from crm.services import audit
from crm.services.passwords import check_new_password, set_password
from crm.services.sessions import seconds

GOOD_FOR_SECONDS = {LinkPurpose.INVITE: 72 * 3600, LinkPurpose.RESET: 3600}


class LinkIsOver(NotFound):
    code = "link_is_over"
    message = "This link has been used or is too old. Ask for a new one."


def create_link(user: User, purpose: LinkPurpose, *, by: int | None = None) -> str:
    """A new link's token; the person's earlier links end. Only its hash is stored."""
    end_links(user.id)
    token = new_token()
    db.session.add(
        AccountLink(
            user_id=user.id,
            purpose=purpose,
            token=hash_token(token),
            expires_at=func.now() + seconds(GOOD_FOR_SECONDS[purpose]),
            created_by=by,
        )
    )
    db.session.flush()
    return token


def end_links(user_id: int) -> None:
    db.session.execute(
        update(AccountLink)
        .where(AccountLink.user_id == user_id, AccountLink.used_at.is_(None))
        .values(used_at=func.now())
    )


def load_link(token: str) -> tuple[AccountLink, User]:
    """The link and whose it is; LinkIsOver for any that opens nothing. Looking does not use it."""
    row = db.session.execute(
        select(AccountLink, User)
        .join(User, User.id == AccountLink.user_id)
        .where(
            AccountLink.token == hash_token(token),
            AccountLink.used_at.is_(None),
            AccountLink.expires_at > func.now(),
            User.deleted_at.is_(None),
        )
    ).one_or_none()
    if row is None or not row.User.is_active:
        raise LinkIsOver
    return row.AccountLink, row.User


def use_link(token: str, password: str) -> User:
    """Set the password; of two who use it at once one gets LinkIsOver.

    The person still signs in afterwards: a second factor is not skipped by a reset.
    """
    link, user = load_link(token)
    check_new_password(password, user)
    taken = db.session.execute(
        update(AccountLink)
        .where(AccountLink.id == link.id, AccountLink.used_at.is_(None))
        .values(used_at=func.now())
        .returning(AccountLink.id)
    ).one_or_none()
    if taken is None:
        raise LinkIsOver
    set_password(user, password)
    audit.record(f"users.{link.purpose}_accepted", user, user_id=user.id)
    return user
