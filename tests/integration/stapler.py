# SPDX-License-Identifier: MIT
"""OCSP answers in the handshakes of Python's own TLS servers (RFC 6066 s8, RFC 8446 s4.4.2.1), which its ssl module cannot
do: by the functions of the libssl that it has loaded."""
import ctypes

SET_CALLBACK, SET_RESPONSE = 63, 71  # SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB, ..._OCSP_RESP
OK, NO_ANSWER = 0, 3  # SSL_TLSEXT_ERR_OK, ..._NOACK
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)

libssl, libcrypto = ctypes.CDLL("libssl.so.3"), ctypes.CDLL("libcrypto.so.3")
libssl.SSL_CTX_callback_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, CALLBACK]
libssl.SSL_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
libcrypto.CRYPTO_malloc.argtypes = [ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int]
libcrypto.CRYPTO_malloc.restype = ctypes.c_void_p


def staple(context, answer):
    """answer: a function that gives bytes, or None. Called once for each client that asks. Returns what has to live as long
    as the context."""
    def show(ssl, _):
        told = answer()
        if told is None:
            return NO_ANSWER
        copy = libcrypto.CRYPTO_malloc(len(told), b"", 0)  # its own from now on
        ctypes.memmove(copy, told, len(told))
        libssl.SSL_ctrl(ssl, SET_RESPONSE, len(told), copy)
        return OK
    callback = CALLBACK(show)
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)  # SSL_CTX *, behind the object's head
    libssl.SSL_CTX_callback_ctrl(pointer, SET_CALLBACK, callback)
    return callback
