"""Small tools that know no CRM."""
