"""A Django site: a page with and without a slash at its end, a folder of pages, and a page for POST.
Usage: django_app.py PORT"""
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path, re_path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test")
django.setup()


def secret(request, **_):
    host = request.get_host().rsplit(":", 1)[0].rstrip(".").lower()
    return HttpResponse("SECRET" if host == "shop.example" else "another host")


def write(request):
    return secret(request) if request.method == "POST" else HttpResponse("POST", status=405)


urlpatterns = [
    re_path("^login/?$", secret),
    path("account/<path:rest>", secret),
    path("write", write),
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


make_server(
    "127.0.0.1", int(sys.argv[1]), get_wsgi_application(), server_class=Server, handler_class=Handler
).serve_forever()
