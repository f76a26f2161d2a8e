/* A backend that costs next to nothing: one thread, epoll, keep-alive. Any POST gets a chat answer of about 500 bytes,
 * or, when its body asks for a stream, 64 server-sent events, each a chunk and a send of its own, and [DONE].
 * Usage: gateway_mock PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNKS 64

struct peer { int fd; size_t have; char in[16384]; };

static char whole[2048], head[256], chunk[512], last[512];
static int whole_n, head_n, chunk_n, last_n;

static int frame(char *out, size_t room, const char *text) {
    return snprintf(out, room, "%zx\r\n%s\r\n", strlen(text), text);
}

static void prepare(void) {
    char text[401], body[1024], event[512];
    memset(text, 'a', 250);
    text[250] = 0;
    snprintf(body, sizeof body,
             "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"/weights/x\",\"choices\":[{\"index\":0,"
             "\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}],\"usage\":"
             "{\"prompt_tokens\":200,\"completion_tokens\":64,\"total_tokens\":264}}", text);
    whole_n = snprintf(whole, sizeof whole,
                       "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(body), body);
    head_n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    snprintf(event, sizeof event,
             "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"/weights/x\",\"choices\":"
             "[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n");
    chunk_n = frame(chunk, sizeof chunk, event);
    last_n = frame(last, sizeof last,
                   "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"/weights/x\",\"choices\":[],"
                   "\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":64,\"total_tokens\":264}}\n\n");
    last_n += frame(last + last_n, sizeof last - last_n, "data: [DONE]\n\n");
    last_n += snprintf(last + last_n, sizeof last - last_n, "0\r\n\r\n");
}

static int put(int fd, const char *data, int n) {
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL); /* blocking: whoever is slow here is the gateway under test */
        if (sent <= 0) return -1;
        data += sent;
        n -= sent;
    }
    return 0;
}

static int answer(int fd, int stream) {
    if (!stream) return put(fd, whole, whole_n);
    if (put(fd, head, head_n)) return -1;
    for (int i = 0; i < CHUNKS; i++)
        if (put(fd, chunk, chunk_n)) return -1;
    return put(fd, last, last_n);
}

/* Bytes of the first whole request in the buffer; 0: not yet. */
static size_t request(struct peer *p, int *stream) {
    p->in[p->have] = 0;
    char *end = strstr(p->in, "\r\n\r\n");
    if (!end) return 0;
    size_t length = 0;
    char *found = strcasestr(p->in, "content-length:");
    if (found && found < end) length = strtoul(found + 15, NULL, 10);
    size_t total = end + 4 - p->in + length;
    if (p->have < total) return 0;
    char kept = p->in[total];
    p->in[total] = 0;
    *stream = strstr(end, "\"stream\":true") || strstr(end, "\"stream\": true");
    p->in[total] = kept;
    return total;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    prepare();
    int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&at, sizeof at) || listen(listening, 4096)) return 1;
    struct epoll_event events[256], event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll, EPOLL_CTL_ADD, listening, &event);
    for (;;) {
        int n = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (!p) {
                int fd = accept(listening, NULL, NULL);
                if (fd < 0) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                p = calloc(1, sizeof *p);
                p->fd = fd;
                event.data.ptr = p;
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
                continue;
            }
            ssize_t got = recv(p->fd, p->in + p->have, sizeof p->in - p->have - 1, 0);
            int gone = got <= 0, stream;
            if (!gone) p->have += got;
            for (size_t used; !gone && (used = request(p, &stream));) {
                gone = answer(p->fd, stream) != 0;
                memmove(p->in, p->in + used, p->have - used);
                p->have -= used;
            }
            if (gone || p->have >= sizeof p->in - 1) {
                close(p->fd);
                free(p);
            }
        }
    }
}
