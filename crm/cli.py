"""`flask --app wsgi ...`: commands for the operator, grouped by area."""

import secrets

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from crm.db import atomic, db
from crm.errors import DomainError
from crm.models import LinkPurpose, User
from crm.services import account_links, first_start, sign_in, two_factor
from crm.services import audit as trail
from crm.services import doctor as examination
from crm.services.files.checking import compare_store, remove_nobodys


def register(app: Flask) -> None:
    app.cli.add_command(doctor)
    app.cli.add_command(demo)
    app.cli.add_command(audit)
    app.cli.add_command(admin)
    app.cli.add_command(files)


@click.command()
@with_appcontext
def doctor() -> None:
    """Say in plain words what is wrong with this installation."""
    findings = examination.examine(current_app.config["CRM"])
    for finding in findings:
        click.echo(f"{'ok  ' if finding.fine else 'BAD '} {finding.subject}: {finding.words}")
    if not all(finding.fine for finding in findings):
        raise SystemExit(1)


@click.group()
def demo() -> None:
    """The demo company: people, numbers of the simulated WhatsApp, some days of conversations."""


@demo.command("load")
@with_appcontext
def load_demo() -> None:
    """Fill an empty database with it; refuses one that is in use."""
    # Here, because every process loads the commands and none but this one plays the demo.
    from crm.services import demo as demo_data

    config = current_app.config["CRM"]
    password = config.demo_password or secrets.token_urlsafe(12)
    try:
        is_empty = demo_data.is_empty()
        db.session.rollback()
        props = demo_data.make_props(config.data_dir) if is_empty else {}
        with atomic():
            accounts = demo_data.load_demo(
                password, encryption_keys=config.encryption_keys, props=props
            )
    except demo_data.NotEmpty as error:
        raise SystemExit(str(error)) from None
    for account in accounts:
        click.echo(f"{account.email}  {account.role}")
    click.echo(f"Password: {password}")


@click.group()
def audit() -> None:
    """The audit trail: whether it is whole, and its last seal, to be kept elsewhere."""


@audit.command("verify")
@click.option("--head", "given", multiple=True, help="POSITION:SEAL that you kept elsewhere.")
@with_appcontext
def verify_audit(given: tuple[str, ...]) -> None:
    """Compute every seal anew; ends with 1 if a row was changed, moved, added or removed."""
    config = current_app.config["CRM"]
    heads = trail.read_heads(trail.heads_path(config.data_dir))
    for text in given:
        position, _, seal = text.partition(":")
        if not position.isdigit() or len(seal) != 64:
            raise click.BadParameter("write it as audit head prints it: 120:1f3a...")
        heads.append(trail.Head(int(position), seal, "the command line"))
    verdict = trail.verify_chain(config.audit_key, heads)
    click.echo(f"{verdict.checked} rows checked, {verdict.unsealed} not sealed yet")
    if not heads:
        click.echo("No head was noted outside the database: a cut end would not show.")
    for problem in verdict.problems:
        click.echo(f"BAD  {problem}")
    if not verdict.intact:
        raise SystemExit(1)
    click.echo("The trail is whole.")


@audit.command("head")
@with_appcontext
def show_audit_head() -> None:
    """Print the last seal as POSITION:SEAL; keep it where the database's people cannot reach."""
    head = trail.find_head()
    click.echo(f"{head.position}:{head.seal}" if head else "Nothing is sealed yet.")


@click.group()
def admin() -> None:
    """Accounts, for whoever runs this installation: the first one, and the way back in."""


@admin.command("create")
@click.argument("email")
@click.option("--name", prompt="First and last name", help="First and last name.")
@click.password_option(help="Asked for when it is not given.")
@with_appcontext
def create_admin(email: str, name: str, password: str) -> None:
    """Make a super administrator."""
    first_name, _, last_name = name.strip().partition(" ")
    try:
        with atomic():
            first_start.create_admin(
                email=email, first_name=first_name, last_name=last_name.strip(), password=password
            )
    except DomainError as error:
        raise SystemExit(str(error)) from None
    click.echo(f"{email} can sign in as super_admin.")


@admin.command("setup-token")
@with_appcontext
def show_setup_token() -> None:
    """Print the code that the first page asks for, while there is no account."""
    if not first_start.is_first_start():
        raise SystemExit("This installation has people already; `admin link` lets one in again.")
    config = current_app.config["CRM"]
    token = first_start.setup_token(config.secret_key)
    click.echo(token)
    if config.public_url:
        click.echo(f"{config.public_url}/setup?code={token}")


@admin.command("link")
@click.argument("email")
@with_appcontext
def make_link(email: str) -> None:
    """Print a link by which this person chooses a new password; it works once, for an hour."""
    base = current_app.config["CRM"].public_url or "http://<address of this installation>"
    with atomic():
        token = account_links.create_link(_load_person(email), LinkPurpose.RESET)
    click.echo(f"{base}/account/link/{token}")


@admin.command("reset-two-factor")
@click.argument("email")
@with_appcontext
def reset_two_factor(email: str) -> None:
    """Take away the second factor of somebody who has lost phone and codes."""
    with atomic():
        two_factor.reset_second_factor(_load_person(email), reason="by command")
    click.echo(f"{email} has no second factor now.")


def _load_person(email: str) -> User:
    user = sign_in.find_by_email(email)
    if user is None or user.is_system:
        raise SystemExit(f"Nobody here has the e-mail {email}.")
    return user


@click.group()
def files() -> None:
    """Files of messages, avatars and the like."""


@files.command("check")
@click.option("--remove", is_flag=True, help="Remove bytes that belong to nobody.")
@with_appcontext
def check_files(remove: bool) -> None:
    """Hold rows and bytes against each other; exit code 1 where something is lost."""
    found = compare_store()
    click.echo(f"{found.files} files")
    for file_id in found.lost:
        click.echo(f"lost: file {file_id}")
    for key in found.nobodys:
        click.echo(f"nobody's: {key}")
    if remove and found.nobodys:
        click.echo(f"{remove_nobodys(found)} removed")
    if found.lost:
        raise SystemExit(1)
