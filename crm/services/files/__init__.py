"""Files that we keep: bytes in the store, a row for each, and who may have them.

Bytes move outside of transactions: `store_file` first, then `create_file` inside `atomic()`. What a
crash leaves between the two are bytes without a row, which `tidy` removes. A row never stands
without its bytes.

An avatar, from a door:

    with files.spool(config.data_dir) as folder:
        source = files.receive(request.stream, folder, most=AVATAR.most_bytes)
        prepared = files.prepare_portrait(source, name=name, folder=folder)
        stored = files.store_file(prepared)
    with atomic():
        file = files.create_file(stored, purpose=AVATAR, owner=("user", user.id), uploaded_by=me)
        user.avatar_url = file.url
"""

from crm.services.files.access import find_public, load_file
from crm.services.files.counting import count_access, flush_access
from crm.services.files.preparing import (
    Prepared,
    prepare_for_message,
    prepare_picture,
    prepare_portrait,
    prepare_voice,
)
from crm.services.files.purposes import AVATAR, LOGO, MESSAGE, TEMPLATE_SAMPLE, Limits, Purpose
from crm.services.files.receiving import FileTooLarge, StoreUnavailable, receive, spool
from crm.services.files.storing import (
    Stored,
    check_quota,
    copy_to,
    create_file,
    delete_file,
    drop_stored,
    make_playable,
    read_file,
    size_of,
    store_file,
    tidy,
)

__all__ = [
    "AVATAR",
    "LOGO",
    "MESSAGE",
    "TEMPLATE_SAMPLE",
    "FileTooLarge",
    "Limits",
    "Prepared",
    "Purpose",
    "StoreUnavailable",
    "Stored",
    "check_quota",
    "copy_to",
    "count_access",
    "create_file",
    "delete_file",
    "drop_stored",
    "find_public",
    "flush_access",
    "load_file",
    "make_playable",
    "prepare_for_message",
    "prepare_picture",
    "prepare_portrait",
    "prepare_voice",
    "read_file",
    "receive",
    "size_of",
    "spool",
    "store_file",
    "tidy",
]
