/* certificate.h - what identifies a Skep's certificate. */
#ifndef CLI_CERTIFICATE_H
#define CLI_CERTIFICATE_H

struct certificate {
    char fingerprint[96]; /* SHA-256 as the serial log has it: "BB:70:…" */
    char pin[64];         /* of its public key, in curl's notation: "sha256//…" */
};

/* An exit code. */
int certificate_read(const char *pem, struct certificate *certificate);

/* A fingerprint in any case, with or without colons and "sha256:", as above. An exit code. */
int fingerprint_read(const char *text, char fingerprint[96]);

#endif
