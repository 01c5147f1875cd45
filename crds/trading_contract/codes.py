"""What a client is told: the one table of HTTP status, API code and text of every refusal.

Clients of this API match on the texts, so they are fixed. `{}` stands for the name of a parameter.
The native order entry holds the same table (`backend/native/src/failure.cpp`), in the same order; a
test walks both.
"""

from __future__ import annotations

from enum import Enum

from trading_contract.wire import Code, Kind

_DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_ILLEGAL = "Illegal characters found in parameter '{}'; legal range is "


class Refusal(Enum):
    """One way a request can fail: (HTTP status, API code, text).

    4xx: surely not applied. 503: surely not applied, try again. 504: unknown, ask by client id.
    """

    UNKNOWN_OUTCOME = (
        504,
        -1007,
        (
            "Timeout waiting for response from backend server. Send status unknown; "
            "execution status unknown."
        ),
    )
    BUSY = (
        503,
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    )
    TOO_MANY_ORDERS = (429, -1015, "Too many new orders.")
    TOO_MUCH_WEIGHT = (429, -1003, "Too much request weight used; please slow down.")
    UNSUPPORTED = (400, -1020, "This operation is not supported.")
    TIMESTAMP_OUTSIDE = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
    TIMESTAMP_AHEAD = (
        400,
        -1021,
        "Timestamp for this request was 1000ms ahead of the server's time.",
    )
    SIGNATURE = (400, -1022, "Signature for this request is not valid.")
    ILLEGAL_DECIMAL = (400, -1100, f"{_ILLEGAL}'{_DECIMAL}'.")
    ILLEGAL_SYMBOL = (400, -1100, f"{_ILLEGAL}'^[A-Z0-9]{{2,16}}$'.")
    ILLEGAL_CLIENT_ID = (400, -1100, f"{_ILLEGAL}'^[a-zA-Z0-9-_]{{1,36}}$'.")
    ILLEGAL_INTEGER = (400, -1100, f"{_ILLEGAL}'^[0-9]{{1,19}}$'.")
    DUPLICATE_PARAMETER = (400, -1101, "Duplicate values for parameter '{}' detected.")
    MISSING_PARAMETER = (
        400,
        -1102,
        "Mandatory parameter '{}' was not sent, was empty/null, or malformed.",
    )
    UNKNOWN_PARAMETER = (
        400,
        -1104,
        "Not all sent parameters were read; parameter '{}' is unknown here.",
    )
    EMPTY_PARAMETER = (400, -1105, "Parameter '{}' was empty.")
    NOT_REQUIRED = (400, -1106, "Parameter '{}' sent when not required.")
    PRECISION = (400, -1111, "Parameter '{}' has too much precision.")
    TIME_IN_FORCE = (400, -1115, "Invalid timeInForce.")
    ORDER_TYPE = (400, -1116, "Invalid orderType.")
    SIDE = (400, -1117, "Invalid side.")
    SYMBOL = (400, -1121, "Invalid symbol.")
    COMBINATION = (400, -1128, "Combination of optional parameters invalid: '{}'.")
    INVALID_PARAMETER = (400, -1130, "Data sent for parameter '{}' is not valid.")
    RECV_WINDOW = (400, -1131, "recvWindow must be less than 60000.")
    MALFORMED_JSON = (
        400,
        -1135,
        "Invalid JSON Request: JSON sent for parameter '{}' is not valid.",
    )
    PRICE_FILTER = (400, -1013, "Filter failure: PRICE_FILTER")
    LOT_SIZE = (400, -1013, "Filter failure: LOT_SIZE")
    NOTIONAL = (400, -1013, "Filter failure: NOTIONAL")
    PRICE_BAND = (400, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE")
    TOO_MANY_OPEN_ORDERS = (400, -1013, "Filter failure: MAX_NUM_ORDERS")
    DUPLICATE_ORDER = (409, -2010, "Duplicate order sent.")
    POST_ONLY = (400, -2010, "Order would immediately match and take.")
    STOP_WOULD_TRIGGER = (400, -2010, "Order would trigger immediately.")
    MARKET_CLOSED = (400, -2010, "Market is closed.")
    ACCOUNT_HALTED = (400, -2010, "This action is disabled on this account.")
    INSUFFICIENT_FUNDS = (
        400,
        -2010,
        "Account has insufficient balance for requested action.",
    )
    UNKNOWN_ORDER = (400, -2011, "Unknown order sent.")
    NO_SUCH_ORDER = (400, -2013, "Order does not exist.")
    KEY_FORMAT = (401, -2014, "API-key format invalid.")
    KEY_REJECTED = (401, -2015, "Invalid API-key, IP, or permissions for action.")
    REPLACE_PARTLY = (409, -2021, "Order cancel-replace partially failed.")
    REPLACE_FAILED = (400, -2022, "Order cancel-replace failed.")
    AMEND_UNKNOWN = (400, -2038, "Unknown order sent.")
    AMEND_NO_CHANGE = (
        400,
        -2038,
        "newQty must be above the executed and below the present quantity.",
    )
    INVALID_ORDER = (400, -1013, "Invalid order.")
    BODY_TOO_LARGE = (413, -1101, "Request body is too large; see limits.bodyBytesMax.")
    NOT_LOGGED_ON = (401, -2015, "Session is not logged on; use session.logon.")

    @property
    def http(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def code(self) -> int:
        """The API code, negative."""
        return self.value[1]

    @property
    def text(self) -> str:
        """The text with `{}` where the parameter's name belongs."""
        return self.value[2]

    def message(self, field: str = "") -> str:
        """The text about this parameter."""
        return self.text.replace("{}", field, 1)


_OF_CODE = {
    Code.OK: None,
    Code.DUPLICATE_SAME: None,
    Code.END: None,
    Code.DUPLICATE_OTHER: Refusal.DUPLICATE_ORDER,
    Code.ORDER_NOT_ACTIVE: Refusal.UNKNOWN_ORDER,
    Code.INVALID_ORDER: Refusal.INVALID_ORDER,
    Code.INVALID_REPLACEMENT: Refusal.REPLACE_FAILED,
    Code.POST_ONLY_WOULD_TAKE: Refusal.POST_ONLY,
    Code.STOP_WOULD_TRIGGER: Refusal.STOP_WOULD_TRIGGER,
    Code.SYMBOL_HALTED: Refusal.MARKET_CLOSED,
    Code.ACCOUNT_HALTED: Refusal.ACCOUNT_HALTED,
    Code.INSUFFICIENT_FUNDS: Refusal.INSUFFICIENT_FUNDS,
    Code.WRONG_OWNER: Refusal.BUSY,
    Code.REQUEST_EXPIRED: Refusal.TIMESTAMP_OUTSIDE,
    Code.UNKNOWN_SYMBOL: Refusal.SYMBOL,
    Code.BUSY: Refusal.BUSY,
    Code.UNKNOWN_OUTCOME: Refusal.UNKNOWN_OUTCOME,
    Code.NO_SUCH_ORDER: Refusal.NO_SUCH_ORDER,
    Code.PRICE_BAND: Refusal.PRICE_BAND,
    Code.TOO_MANY_OPEN_ORDERS: Refusal.TOO_MANY_OPEN_ORDERS,
    Code.MALFORMED: Refusal.INVALID_ORDER,
    Code.INVALID_AMEND: Refusal.AMEND_NO_CHANGE,
}


def refusal_of(code: Code, kind: Kind) -> Refusal | None:
    """What the client is told for a partition's answer; None when it is no refusal."""
    if code is Code.ORDER_NOT_ACTIVE and kind in (Kind.AMEND, Kind.REDUCE):
        return Refusal.AMEND_UNKNOWN
    return _OF_CODE[code]
