"""Signing in, the second factor, first start, and choosing a password."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, Regexp

from crm.lib.text import clean

# What every mail server takes; whether it exists is found out by writing to it.
EMAIL = r"^\s*[^@\s<>\"(),:;\\]+@[^@\s<>\"(),:;\\]+\.[^@\s<>\"(),:;\\.]{2,}\s*$"


class LoginForm(FlaskForm):
    # No e-mail syntax check: whatever is wrong gets the one answer that tells nothing.
    email = EmailField(
        _l("E-mail"),
        validators=[InputRequired(_l("Write your e-mail.")), Length(max=255)],
        render_kw={"autocomplete": "username", "autofocus": True, "spellcheck": "false"},
    )
    password = PasswordField(
        _l("Password"),
        validators=[InputRequired(_l("Write your password.")), Length(max=1000)],
        render_kw={"autocomplete": "current-password"},
    )
    next = HiddenField()


class CodeForm(FlaskForm):
    """Six digits of the phone, or a written code."""

    code = StringField(
        _l("Code"), validators=[InputRequired(_l("Write the code.")), Length(max=40)]
    )
    next = HiddenField()


class ForgotForm(FlaskForm):
    email = EmailField(
        _l("E-mail"), validators=[InputRequired(_l("Write your e-mail.")), Length(max=255)]
    )


class NewPasswordForm(FlaskForm):
    """Without a second field to repeat it in: the eye shows what was written."""

    password = PasswordField(
        _l("New password"), validators=[InputRequired(_l("Write a password."))]
    )


class FirstStartForm(FlaskForm):
    setup_token = StringField(
        _l("Installation code"),
        validators=[InputRequired(_l("Write the installation code.")), Length(max=40)],
    )
    first_name = StringField(
        _l("First name"),
        filters=[lambda value: clean(value).strip() if value else value],
        validators=[InputRequired(_l("Write your name.")), Length(max=100)],
    )
    last_name = StringField(
        _l("Last name"),
        filters=[lambda value: clean(value).strip() if value else value],
        validators=[InputRequired(_l("Write your last name.")), Length(max=100)],
    )
    email = EmailField(
        _l("E-mail"),
        validators=[
            InputRequired(_l("Write your e-mail.")),
            Length(max=255),
            Regexp(EMAIL, message=_l("This is not an e-mail address.")),
        ],
    )
    password = PasswordField(_l("Password"), validators=[InputRequired(_l("Write a password."))])
