"""An alert when the rollups differ from the ledger."""

from django.db import migrations, models

TYPES = [
    ("quota_warning", "Quota nearly used up"),
    ("quota_critical", "Quota all but used up"),
    ("quota_exceeded", "Quota used up"),
    ("cost_warning", "Budget nearly used up"),
    ("cost_exceeded", "Budget used up"),
    ("daily_spike", "Costs of a day far above the mean"),
    ("high_failure_rate", "Many jobs fail"),
    ("slow_execution", "Jobs take long"),
    ("high_cost_deviation", "Jobs cost more than before"),
    ("unusual_usage", "Far more jobs than usual"),
    ("manual", "Made by hand"),
    ("webhook_disabled", "Webhook switched off"),
    ("evaluator_failed", "Alerts could not be checked"),
    ("ledger_off", "The ledger differs"),
    ("audit_broken", "Audit trail not whole"),
    ("rollup_off", "The figures differ from the ledger"),
    ("model_retired", "Retired model in use"),
    ("model_unpriced", "Unpriced model in use"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("ai_usage", "0012_audit_alert"),
    ]

    operations = [
        migrations.AlterField(
            model_name="aiusagealert",
            name="alert_type",
            field=models.CharField(choices=TYPES, max_length=24),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="alert_type",
            field=models.CharField(choices=TYPES, max_length=24),
        ),
    ]
