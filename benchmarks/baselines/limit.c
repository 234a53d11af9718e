/* The limit: the most that a chat server on one core can deliver when it does nothing else.
 *
 * One thread, epoll, everything in memory; it does not check names, and has no log and no
 * acknowledgements. In each turn of the loop it reads a piece from every client that has sent
 * something, collects the lines of each room in one buffer, and sends this buffer to every member
 * with one send(). A member that has sent lines gets the buffer without them. Bytes that a member's
 * socket does not take are kept for it. Nothing is dropped: while many bytes wait for a member of a
 * room, the members of that room are not read.
 *
 * Usage: limit PORT. Lines end with LF. The first line of a client is its name, "/join ROOM" goes
 * to another room, and any other line is sent to the room as "[name]: line". The answer to a name
 * or to "/join" is "* in ROOM".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CLIENTS = 1 << 16,    /* file descriptors */
    PIECE = 1 << 12,      /* bytes read from one client in a turn */
    LINE = 1 << 12,       /* bytes of a line, at most */
    NAME = 64,            /* bytes of a name, at most */
    MUCH = 4 << 20,       /* bytes waiting for one member, above which its room is not read */
    LITTLE = 1 << 20,     /* bytes waiting, below which the member counts as caught up */
    EVENTS = 4096,
};

struct bytes {
    char *at;
    size_t start, end, space;
};

struct own {              /* a piece of a room's turn that its author does not get */
    int author;
    size_t start, end;
};

struct room {
    char name[NAME];
    int *members, count, space;
    struct bytes turn;    /* the lines of this turn */
    struct own *own;
    int owns, own_space;
    int slow;             /* members with more than MUCH bytes waiting */
    int listed;           /* whether the room has lines in this turn */
};

struct client {
    int fd, place, named, slow, unread, wants_out, spoke;
    char name[NAME];
    size_t name_length;
    struct room *room;
    struct bytes in, out;
};

static struct client *clients[CLIENTS];
static struct room **rooms;
static int room_count;
static struct room **busy;
static int busy_count;
static int poller;

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void put(struct bytes *b, const char *data, size_t length)
{
    if (b->start == b->end)
        b->start = b->end = 0;
    if (b->end + length > b->space) {
        memmove(b->at, b->at + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
        if (b->end + length > b->space) {
            b->space = 2 * (b->end + length);
            b->at = must(realloc(b->at, b->space));
        }
    }
    memcpy(b->at + b->end, data, length);
    b->end += length;
}

static void interest(struct client *c)
{
    struct epoll_event event = {
        .events = (c->unread ? 0 : EPOLLIN) | (c->wants_out ? EPOLLOUT : 0), .data.fd = c->fd};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

/* -- rooms ---------------------------------------------------------------------------------- */

static struct room *find_room(const char *name)
{
    for (int i = 0; i < room_count; i++)
        if (!strcmp(rooms[i]->name, name))
            return rooms[i];
    rooms = must(realloc(rooms, (room_count + 1) * sizeof *rooms));
    busy = must(realloc(busy, (room_count + 1) * sizeof *busy));
    struct room *room = must(calloc(1, sizeof *room));
    snprintf(room->name, sizeof room->name, "%s", name);
    return rooms[room_count++] = room;
}

static void set_slow(struct client *c, int slow)
{
    struct room *room = c->room;
    if (c->slow == slow)
        return;
    c->slow = slow;
    room->slow += slow ? 1 : -1;
    if (room->slow)
        return;
    for (int i = 0; i < room->count; i++) {
        struct client *other = clients[room->members[i]];
        if (other->unread) {
            other->unread = 0;
            interest(other);
        }
    }
}

static void part(struct client *c)
{
    struct room *room = c->room;
    if (!room)
        return;
    set_slow(c, 0);
    int last = room->members[--room->count];
    room->members[c->place] = last;
    clients[last]->place = c->place;
    c->room = NULL;
}

static void enter(struct client *c, const char *name)
{
    struct room *room = find_room(name);
    part(c);
    if (room->count == room->space) {
        room->space = room->space ? 2 * room->space : 16;
        room->members = must(realloc(room->members, room->space * sizeof *room->members));
    }
    c->room = room;
    c->place = room->count;
    room->members[room->count++] = c->fd;
}

/* -- bytes out ------------------------------------------------------------------------------ */

static void give(struct client *c, const char *data, size_t length)
{
    if (c->out.start == c->out.end) {
        ssize_t sent = send(c->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent == (ssize_t)length)
            return;
        if (sent < 0) {
            if (errno != EAGAIN)
                return; /* a read will soon find the end of the connection */
            sent = 0;
        }
        data += sent;
        length -= sent;
    }
    put(&c->out, data, length);
    if (!c->wants_out) {
        c->wants_out = 1;
        interest(c);
    }
    if (c->room && c->out.end - c->out.start > MUCH)
        set_slow(c, 1);
}

static void writable(struct client *c)
{
    ssize_t sent = send(c->fd, c->out.at + c->out.start, c->out.end - c->out.start,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        c->out.start += sent;
    if (c->out.end - c->out.start < LITTLE)
        set_slow(c, 0);
    if (c->out.start == c->out.end) {
        c->wants_out = 0;
        interest(c);
    }
}

static void give_without_own(struct client *c, struct room *room)
{
    static struct bytes copy;
    size_t at = 0;
    copy.start = copy.end = 0;
    for (int i = 0; i < room->owns; i++) {
        struct own *own = &room->own[i];
        if (own->author == c->fd) {
            put(&copy, room->turn.at + at, own->start - at);
            at = own->end;
        }
    }
    put(&copy, room->turn.at + at, room->turn.end - at);
    if (copy.end > copy.start)
        give(c, copy.at + copy.start, copy.end - copy.start);
}

static void publish(struct room *room)
{
    for (int i = 0; i < room->count; i++) {
        struct client *c = clients[room->members[i]];
        if (c->spoke) {
            give_without_own(c, room);
            c->spoke = 0;
        } else {
            give(c, room->turn.at, room->turn.end);
        }
    }
    room->turn.start = room->turn.end = 0;
    room->owns = 0;
}

/* -- lines in ------------------------------------------------------------------------------- */

static void say(struct client *c, const char *line, size_t length)
{
    struct room *room = c->room;
    size_t start = room->turn.end;
    put(&room->turn, "[", 1);
    put(&room->turn, c->name, c->name_length);
    put(&room->turn, "]: ", 3);
    put(&room->turn, line, length + 1);
    struct own *last = room->owns ? &room->own[room->owns - 1] : NULL;
    if (last && last->author == c->fd && last->end == start) {
        last->end = room->turn.end;
    } else {
        if (room->owns == room->own_space) {
            room->own_space = room->own_space ? 2 * room->own_space : 64;
            room->own = must(realloc(room->own, room->own_space * sizeof *room->own));
        }
        room->own[room->owns++] = (struct own){c->fd, start, room->turn.end};
    }
    c->spoke = 1;
    if (!room->listed) {
        room->listed = 1;
        busy[busy_count++] = room;
    }
}

static void line(struct client *c, char *text, size_t length)
{
    char answer[2 * NAME];
    if (c->named && strncmp(text, "/join ", 6)) {
        say(c, text, length);
        return;
    }
    text[length] = 0;
    if (!c->named) {
        c->named = 1;
        c->name_length = snprintf(c->name, sizeof c->name, "%.*s", NAME - 1, text);
        enter(c, "lobby");
    } else {
        if (c->spoke)
            publish(c->room); /* its lines so far belong to the room that it leaves */
        enter(c, text + 6);
    }
    int wide = snprintf(answer, sizeof answer, "* in %.*s\n", NAME - 1, c->room->name);
    give(c, answer, wide);
}

static void forget(struct client *c)
{
    if (c->room && c->spoke)
        publish(c->room);
    part(c);
    close(c->fd);
    clients[c->fd] = NULL;
    free(c->in.at);
    free(c->out.at);
    free(c);
}

static void readable(struct client *c)
{
    char piece[PIECE + 1], *at = piece, *newline;
    if (c->room && c->room->slow) {
        c->unread = 1;
        interest(c);
        return;
    }
    ssize_t got = recv(c->fd, piece, PIECE, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            forget(c);
        return;
    }
    char *end = piece + got;
    if (c->in.end > c->in.start && (newline = memchr(at, '\n', end - at))) {
        put(&c->in, at, newline + 1 - at);
        line(c, c->in.at + c->in.start, c->in.end - c->in.start - 1);
        c->in.start = c->in.end = 0;
        at = newline + 1;
    }
    while (at < end && (newline = memchr(at, '\n', end - at))) {
        line(c, at, newline - at);
        at = newline + 1;
    }
    if (at < end)
        put(&c->in, at, end - at);
    if (c->in.end - c->in.start > LINE)
        forget(c);
}

static void welcome(int listener)
{
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= CLIENTS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct client *c = clients[fd] = must(calloc(1, sizeof *c));
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int count, char **arguments)
{
    static struct epoll_event events[EVENTS];
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (count != 2) {
        fprintf(stderr, "usage: limit PORT\n");
        return 2;
    }
    address.sin_port = htons(atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) {
        perror("limit");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                welcome(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT && clients[fd])
                writable(clients[fd]);
            if (events[i].events & ~EPOLLOUT && clients[fd])
                readable(clients[fd]);
        }
        for (int i = 0; i < busy_count; i++) {
            busy[i]->listed = 0;
            if (busy[i]->turn.end)
                publish(busy[i]);
        }
        busy_count = 0;
    }
}
