from django.urls import path

from megahub.audit.api.views import Trail

urlpatterns = [path("security/audit", Trail.as_view({"get": "list"}), name="security-audit")]
