from django.db import migrations, models

import megahub.kernel.clock


class Migration(migrations.Migration):
    dependencies = [
        ("ai_usage", "0009_exposures"),
    ]

    operations = [
        migrations.AddField(
            model_name="budget",
            name="changed_at",
            field=models.DateTimeField(default=megahub.kernel.clock.now, editable=False),
        ),
        migrations.AddField(
            model_name="budgetwindow",
            name="opening",
            field=models.BigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AlterField(
            model_name="aiusagealert",
            name="alert_type",
            field=models.CharField(
                choices=[
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
                    ("model_retired", "Retired model in use"),
                    ("model_unpriced", "Unpriced model in use"),
                ],
                max_length=24,
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="alert_type",
            field=models.CharField(
                choices=[
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
                    ("model_retired", "Retired model in use"),
                    ("model_unpriced", "Unpriced model in use"),
                ],
                max_length=24,
            ),
        ),
    ]
