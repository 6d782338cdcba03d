/* A client in C for echo without TLS: ./client PORT TEXT... sends each text and prints its echo. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void all(ssize_t (*move)(int, void *, size_t), int fd, void *at, size_t left) {
    while (left > 0) { /* a message may come, and leave, in pieces */
        ssize_t moved = move(fd, at, left);
        if (moved <= 0) {
            fprintf(stderr, "the connection is lost\n");
            exit(69);
        }
        at = (char *)at + moved;
        left -= (size_t)moved;
    }
}

static ssize_t put(int fd, void *at, size_t size) { return write(fd, at, size); }

int main(int count, char **words) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(count > 1 ? atoi(words[1]) : 9090)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &server.sin_addr);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0) {
        perror("connect");
        return 69;
    }
    for (int i = 2; i < count; i++) {
        uint32_t header = htonl(strlen(words[i]));
        all(put, fd, &header, sizeof header);
        all(put, fd, words[i], strlen(words[i]));
        all(read, fd, &header, sizeof header);
        char *text = calloc(1, ntohl(header) + 1);
        all(read, fd, text, ntohl(header));
        puts(text);
        free(text);
    }
    return 0;
}
