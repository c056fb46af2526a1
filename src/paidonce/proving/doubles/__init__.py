"""Doubles of payment providers: servers on loopback that answer as the provider documents, with faults and books.

They test a connector without the provider, and ``paidonce prove --provider`` runs against them. What all have in common
is here; a folder for each provider has what is its own. A double never imports its connector: a mistake that both
shared would be found by nobody.

To write another double, in a folder ``doubles/<provider>/``:

1. ``books.py`` keeps the provider's objects, and a ``Ledger``. Every movement of money is one ``Movement``, in minor
   units of ISO 4217, whatever the provider's own unit is. An object belongs to the account whose credentials created
   it. ``as_json`` returns ``ledger.as_json()`` and, for tests, the objects.
2. ``server.py`` has a class with the members of ``ProviderApi``. Its ``prepare`` authenticates a call and checks its
   parameters, without an effect, and returns a ``PreparedCall`` whose ``execute`` has the effect. Both raise
   ``ApiFailure`` with the provider's status and body. ``create_double`` creates the books, the API and a ``Double`` of
   both. The harness, ``server.py`` here, does the rest: faults, idempotency keys, webhooks, what tests read and set.
3. ``pages.py`` has the pages of buyers, which are Starlette routes. A page calls ``double.send_events()`` before it
   answers. What happened is told with ``double.emit(Event(…))``, which the API and the pages may call at any time.
4. ``__main__.py`` calls ``double_command``; add it to ENTRY_POINTS of tests/test_house.py.
5. ``tests/support/<provider>.py`` serves it with ``served`` of tests/support/doubles.py.

``doubles/stripe/`` is an example of all five.
"""
