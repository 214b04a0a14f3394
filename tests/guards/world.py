"""One of everything that a route can name, seen from one person: own, near, foreign, missing.

A new argument of a route (`<int:file_id>`) needs two things here: a row of it in `make_world` for
the relations that mean something, and who may see which in `SEES`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from crm.lib.clock import utcnow
from crm.models import (
    Alarm,
    AlarmKind,
    AuditLog,
    Campaign,
    ChatNote,
    ChatStatus,
    QuickReply,
    RuleAction,
    Tag,
    Template,
    TemplateStatus,
    User,
    UserSession,
    WebhookEvent,
    WebhookReplay,
)
from tests import factories

MISSING = 999_999

# How a thing stands to the person who asks for it.
OWN, NEAR, COLLEAGUES, FOREIGN = "own", "same campaign", "other agent's", "other campaign"
RELATIONS = (OWN, NEAR, COLLEAGUES, FOREIGN, "missing")

ALL = {"agent", "supervisor", "super_admin", "quality", "audit"}
BOSS = {"super_admin"}
CAMPAIGN = {OWN: ALL, NEAR: ALL, FOREIGN: BOSS}
EVERYBODYS = {OWN: ALL}

# The first argument of a route -> relation -> roles that find it there (404 for the others; 403
# where the role lacks the route's permission comes first). Nobody finds what is missing.
SEES: dict[str, dict[str, set[str]]] = {
    "chat_id": {
        OWN: ALL,
        NEAR: ALL,  # it waits in a queue of a campaign of theirs
        COLLEAGUES: {"supervisor", "super_admin", "quality"},
        FOREIGN: BOSS,
    },
    "file_id": {
        OWN: ALL,
        NEAR: ALL,
        COLLEAGUES: {"supervisor", "super_admin", "quality"},
        FOREIGN: BOSS,
    },
    "campaign_id": CAMPAIGN,
    "queue_id": CAMPAIGN,
    "rule_id": CAMPAIGN,
    "number_id": CAMPAIGN,
    "template_id": CAMPAIGN,
    # A personal quick reply is nobody else's business, not even a super_admin's.
    "reply_id": {OWN: ALL, NEAR: ALL, COLLEAGUES: set(), FOREIGN: BOSS},
    "alarm_id": {NEAR: ALL, FOREIGN: BOSS},
    "tag_id": EVERYBODYS,
    "role_id": EVERYBODYS,
    "audit_id": EVERYBODYS,
    "delivery_id": EVERYBODYS,
    "replay_id": EVERYBODYS,
    "user_id": {OWN: ALL, NEAR: ALL, FOREIGN: ALL},
    "session_id": {OWN: ALL, COLLEAGUES: BOSS},
}

# Seen, but not for changing: (endpoint, role, relation) -> the answer to a POST.
REFUSED: dict[tuple[str, str, str], int] = {
    # Shared quick replies are the supervisors'.
    **{(f"quick_replies.{deed}", "agent", NEAR): 403 for deed in ("save", "delete")},
    # Nobody changes their own account in the settings; that is what the profile is for.
    **{
        (f"users.{deed}", "super_admin", OWN): 403
        for deed in ("make_link", "reset_two_factor", "save_permissions", "reactivate")
    },
    # In the profile only one's own sessions exist.
    ("sessions.end_own", "super_admin", COLLEAGUES): 404,
}


@dataclass
class World:
    """Relation -> argument -> id."""

    person: User
    ids: dict[str, dict[str, int]] = field(default_factory=dict)

    def arguments(self, relation: str, names: set[str]) -> dict[str, int] | None:
        """Values for the arguments of a route; None where that relation means nothing there."""
        if relation == "missing":
            return dict.fromkeys(names, MISSING)
        known = self.ids[relation]
        return {name: known[name] for name in names} if names <= known.keys() else None


def make_world(role: str) -> World:
    """Flushed, not committed: a person of this role in one campaign, and another without them."""
    person, colleague = factories.make_user(role=role), factories.make_user()
    stranger = factories.make_user()
    home, away = factories.make_campaign(), factories.make_campaign()
    for user in (person, colleague):
        factories.link_agent(home, user)
    factories.link_agent(away, stranger)
    world = World(person)
    near, foreign = of_campaign(home), of_campaign(away)
    near |= {"user_id": colleague.id, **chat_ids(home, near, status=ChatStatus.QUEUED)}
    foreign |= {"user_id": stranger.id, **chat_ids(away, foreign, agent=stranger)}
    colleagues = chat_ids(home, near, agent=colleague)
    colleagues |= {"reply_id": reply_id(user=colleague), "session_id": session_id(colleague)}
    own = {**near, **chat_ids(home, near, agent=person), **singles()}
    own |= {"user_id": person.id, "reply_id": reply_id(user=person)}
    own |= {"session_id": session_id(person)}
    own.pop("alarm_id")
    world.ids = {OWN: own, NEAR: near, COLLEAGUES: colleagues, FOREIGN: foreign}
    return world


def of_campaign(campaign: Campaign) -> dict[str, int]:
    """A campaign with one of each thing that belongs to it."""
    number = factories.make_number(campaign=campaign)
    rule = factories.make_rule(
        campaign, action=RuleAction.REJECT, conditions={"keyword": ["x"]}, priority=1
    )
    template = factories.save(
        Template(
            whatsapp_number_id=number.id,
            template_name=f"aviso_{number.id}",
            status=TemplateStatus.APPROVED,
            language="es_CO",
            body_content="Hola",
        )
    )
    alarm = factories.save(
        Alarm(
            kind=AlarmKind.NUMBER_SILENT,
            subject=str(number.id),
            whatsapp_number_id=number.id,
            facts={},
        )
    )
    return {
        "campaign_id": campaign.id,
        "queue_id": factories.make_queue(campaign).id,
        "rule_id": rule.id,
        "number_id": number.id,
        "template_id": template.id,
        "alarm_id": alarm.id,
        "reply_id": reply_id(campaign=campaign),
    }


def chat_ids(campaign: Campaign, ids: dict[str, int], **fields: object) -> dict[str, int]:
    """A chat with a message of ours in it."""
    chat = factories.make_chat(
        campaign=campaign,
        whatsapp_number_id=ids["number_id"],
        **fields,  # type: ignore[arg-type]
    )
    message = factories.make_queued_message(chat)
    file = factories.make_file(message)
    author: Any = fields.get("agent") or factories.make_user()
    note = factories.save(ChatNote(chat_id=chat.id, user_id=author.id, content="Ojo"))
    return {
        "chat_id": chat.id, "message_id": message.id, "file_id": file.id, "note_id": note.id,
    }  # fmt: skip


def reply_id(*, user: User | None = None, campaign: Campaign | None = None) -> int:
    reply = QuickReply(
        user_id=user and user.id,
        campaign_id=campaign and campaign.id,
        shortcut=f"hola{user.id if user else ''}",
        title="Saludo",
        content="Hola",
    )
    return factories.save(reply).id


def session_id(user: User) -> int:
    """A session of theirs on another device."""
    return factories.save(
        UserSession(
            user_id=user.id,
            token=f"{user.id:064d}",
            device_info="otro",
            ip_address="127.0.0.1",
            expires_at=utcnow() + timedelta(hours=1),
        )
    ).id


def singles() -> dict[str, int]:
    """What belongs to no campaign."""
    role = factories.find_role("agent")
    return {
        "tag_id": factories.save(Tag(name="vip", label="VIP")).id,
        "role_id": role.id,
        "audit_id": factories.save(AuditLog(action="users.update", entity_type="users")).id,
        "delivery_id": factories.save(WebhookEvent(provider="meta", body=b"{}")).id,
        "replay_id": factories.save(WebhookReplay(chosen={"ids": []}, until_id=0)).id,
    }
