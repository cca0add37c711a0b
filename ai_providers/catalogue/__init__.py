"""The models as data, with sources and dates; ``loading.py`` reads them."""
