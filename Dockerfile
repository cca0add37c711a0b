# The hub's image: one for web, workers, beat and migrations; docker-compose.yml says which is which.
FROM python:3.13-slim AS packages
COPY requirements.lock /tmp/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r /tmp/requirements.lock

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /srv/hub --shell /usr/sbin/nologin hub \
    && install -d -o hub -g hub -m 0700 /var/lib/hub /var/lib/hub/files
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=megahub.settings.prod \
    HUB_VAR=/var/lib/hub
WORKDIR /srv/hub
COPY manage.py pyproject.toml ./
COPY megahub megahub
COPY ai_providers ai_providers
COPY ai_guard ai_guard
COPY ai_usage ai_usage
COPY ai_core ai_core
COPY ai_openai ai_openai
COPY ai_batch ai_batch
RUN python -m compileall -q megahub ai_providers ai_guard ai_usage ai_core ai_openai ai_batch \
    && python manage.py collectstatic --noinput --skip-checks
USER hub
EXPOSE 8000
# /healthz needs nothing but this process: a database that is away must not restart the web.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["uvicorn", "megahub.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "on", \
     "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--timeout-graceful-shutdown", "30"]
