"""Message templates: what may be written outside the 24 hours, once Meta has approved it."""

from crm.services.templates.codes import WORDS as CODE_WORDS
from crm.services.templates.filling import Blank, Filled, blanks_of, fill
from crm.services.templates.rows import (
    create_template,
    find_templates,
    is_draft,
    load_template,
    may_edit,
    state_of,
    switch_template,
    update_template,
)
from crm.services.templates.sending import (
    NotApproved,
    SwitchedOff,
    find_sendable,
    guess_for,
    guess_values,
    load_for_number,
    load_sendable,
    queue_template,
)
from crm.services.templates.statuses import (
    TemplateKey,
    apply_template_category,
    apply_template_change,
    apply_template_quality,
    apply_template_status,
)
from crm.services.templates.syncing import (
    NoAccount,
    Refused,
    delete_template,
    find_accounts,
    submit_template,
    sync_templates,
    upload_example,
)

__all__ = [
    "CODE_WORDS",
    "Blank",
    "Filled",
    "NoAccount",
    "NotApproved",
    "Refused",
    "SwitchedOff",
    "TemplateKey",
    "apply_template_category",
    "apply_template_change",
    "apply_template_quality",
    "apply_template_status",
    "blanks_of",
    "create_template",
    "delete_template",
    "fill",
    "find_accounts",
    "find_sendable",
    "find_templates",
    "guess_for",
    "guess_values",
    "is_draft",
    "load_for_number",
    "load_sendable",
    "load_template",
    "may_edit",
    "queue_template",
    "state_of",
    "submit_template",
    "switch_template",
    "sync_templates",
    "update_template",
    "upload_example",
]
