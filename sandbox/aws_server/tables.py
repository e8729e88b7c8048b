"""moto's DynamoDB without the costs that grow with the whole table.

It copies the table for every transaction and goes through all items for every query,
so that a ledger of some thousand members takes seconds for what DynamoDB does at once.
"""

import copy
from typing import Any

from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.table import Table

_query = Table.query


class Tables(DynamoDBBackend):
    """DynamoDB whose transactions keep the items they name, and no others."""

    # moto finds the URL patterns of a backend beside the module of its class.
    __module__ = "moto.dynamodb.models"

    def transact_write_items(self, transact_items: list[dict[str, Any]]) -> None:
        places = [self._place(item) for item in transact_items]
        before = [(*at, copy.deepcopy(at[0].get_item(*at[1:]))) for at in places]
        try:
            super().transact_write_items(transact_items)
        except Exception:
            for table, hash_key, range_key, item in before:
                if item is None:
                    table.delete_item(hash_key, range_key)
                elif range_key is None:
                    table.items[hash_key] = item
                else:
                    table.items[hash_key][range_key] = item
            raise

    def _place(self, item: dict[str, Any]) -> tuple[Any, ...]:
        """Table and key of one operation of a transaction."""
        operation = next(iter(item.values()))
        table = self.get_table(operation["TableName"])
        keys = operation.get("Key") or operation["Item"]
        return table, *self.get_keys_value(table, keys)


def _query_partition(table: Any, hash_key: Any, *arguments: Any, **named: Any) -> Any:
    """A query looks at the items of one partition; indexes are not for this."""
    if table.indexes or table.global_indexes:
        return _query(table, hash_key, *arguments, **named)
    table.all_items = lambda: list(table.items.get(hash_key, {}).values())
    try:
        return _query(table, hash_key, *arguments, **named)
    finally:
        del table.all_items


def replace_moto() -> None:
    """To be called once, before the first table is made."""
    dynamodb_backends.backend = Tables
    setattr(Table, "query", _query_partition)  # noqa: B010 - a method, for mypy
    # The backend's own roll-back then puts the same table back.
    setattr(Table, "__deepcopy__", lambda table, _: table)  # noqa: B010
