/* tls.c - an HTTPS client on mbedTLS, for ci/system/test_sdk.py: tls HOST PORT NAME prints the answer to GET /. */
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

static int checked(int result, const char *what)
{
    char text[120];
    if (result >= 0)
        return result;
    mbedtls_strerror(result, text, sizeof text);
    printf("%s: %s\n", what, text);
    exit(1);
}

static void print_answer(mbedtls_ssl_context *ssl)
{
    unsigned char buffer[512];
    int count;
    do {
        count = mbedtls_ssl_read(ssl, buffer, sizeof buffer);
        if (count > 0)
            fwrite(buffer, 1, (size_t)count, stdout);
    } while (count > 0 || count == MBEDTLS_ERR_SSL_WANT_READ ||
             count == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
}

int main(int argc, char **argv)
{
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt authority;
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    mbedtls_net_context net;

    if (argc != 4)
        return 2;
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random);
    mbedtls_x509_crt_init(&authority);
    mbedtls_ssl_config_init(&config);
    mbedtls_ssl_init(&ssl);
    mbedtls_net_init(&net);
    checked(mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0), "randomness");
    checked(mbedtls_x509_crt_parse_file(&authority, "/authority.pem"), "authority");
    checked(mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT,
                                        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
            "defaults");
    mbedtls_ssl_conf_ca_chain(&config, &authority, NULL);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
    checked(mbedtls_ssl_setup(&ssl, &config), "setup");
    checked(mbedtls_ssl_set_hostname(&ssl, argv[3]), "name");
    checked(mbedtls_net_connect(&net, argv[1], argv[2], MBEDTLS_NET_PROTO_TCP), "connect");
    mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
    int result = mbedtls_ssl_handshake(&ssl);
    if (result != 0) {
        char why[400] = "";
        mbedtls_x509_crt_verify_info(why, sizeof why, "", mbedtls_ssl_get_verify_result(&ssl));
        fputs(why, stdout);
    }
    checked(result, "handshake");
    printf("%s\n", mbedtls_ssl_get_version(&ssl));
    checked(mbedtls_ssl_write(&ssl, (const unsigned char *)request, strlen(request)), "write");
    print_answer(&ssl);
    return 0;
}
