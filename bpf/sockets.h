// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Sockets: addresses as the process gave them, and both ends as the kernel knows them.
#include "io.h"

enum {
  kFamilyUnix = 1,
  kFamilyInet = 2,
  kFamilyInet6 = 10,
  kAddressBytes = 128,
  kSocketMode = 0140000,
  kUnixPath = 108,
};

INLINE u16 swapped(u16 port) { return __builtin_bswap16(port); }

INLINE struct sock *sock_of(s32 fd) {
  struct file *file = file_of(fd);
  if (!file || (READ(file, f_inode, i_mode) & 0170000) != kSocketMode) return NULL;
  struct socket *socket = READ(file, private_data);
  return READ(socket, sk);
}

// The path of a unix address at `off`, with its NUL; an abstract name without the NUL that it starts with.
INLINE u64 put_unix_path_text(u8 *to, const char *path, bool user) {
  char first = 0;
  if (user) {
    bpf_probe_read_user(&first, 1, path);
  } else {
    bpf_probe_read_kernel(&first, 1, path);
  }
  const u32 skip = first ? 0 : 1;
  const long length = user ? bpf_probe_read_user_str(to, kUnixPath, path + skip) : bpf_probe_read_kernel_str(to, kUnixPath, path + skip);
  if (length > 0) return bounded(length, 0x7f);
  *to = 0;
  return 1;
}

// A sockaddr parameter from the memory of the process. Returns its length.
GLOBAL u64 write_address(u64 off, u64 address, u64 length) {
  u8 *buf = own_slot();
  if (!buf || !address || length < 2) return 0;
  struct {
    u16 family, port;
    u32 rest[6];
  } given = {};
  u64 size = length < sizeof(given) ? length : sizeof(given);
  size = bounded(size, 31);
  if (length >= sizeof(given)) size = sizeof(given);
  if (bpf_probe_read_user(&given, size, (void *)address)) return 0;
  u8 *to = buf + bounded(off, kSlotMask);
  *to = given.family;
  if (given.family == kFamilyInet && length >= 8) {
    *(u32 *)(to + 1) = given.rest[0];
    *(u16 *)(to + 5) = swapped(given.port);
    return 7;
  }
  if (given.family == kFamilyInet6 && length >= 24) {
    for (int i = 0; i < 4; ++i) *(u32 *)(to + 1 + 4 * i) = given.rest[1 + i];
    *(u16 *)(to + 17) = swapped(given.port);
    return 19;
  }
  if (given.family == kFamilyUnix) {
    if (length > 2) return 1 + put_unix_path_text(to + 1, (const char *)address + 2, true);
    to[1] = 0;
    return 2;
  }
  return 1;
}
INLINE void put_address(struct event *e, u64 address, u64 length) {
  put_length(e, bounded(write_address(e->off, address, length), 0xff));
}

// A socktuple parameter: (source, destination). Outgoing: we are the source. The far end comes from the socket if it is
// connected, else from the address that the process gave. Returns its length.
GLOBAL u64 write_tuple(u64 off, u64 fd, u64 incoming, u64 address, u64 length) {
  u8 *buf = own_slot();
  struct sock *sock = sock_of(fd);
  if (!buf || !sock) return 0;
  const u16 family = READ(sock, __sk_common.skc_family);
  struct {
    u16 family, port;
    u32 rest[6];
  } given = {};
  if (address && length >= 8) {
    if (length >= sizeof(given)) {
      bpf_probe_read_user(&given, sizeof(given), (void *)address);
    } else {
      bpf_probe_read_user(&given, 8, (void *)address);
    }
  }
  u8 *to = buf + bounded(off, kSlotMask);
  *to = family;
  if (family == kFamilyInet) {
    struct inet_sock *inet = (struct inet_sock *)sock;
    const u32 near_ip = READ(inet, inet_saddr);
    const u16 near_port = swapped(READ(inet, inet_sport));
    u32 far_ip = READ(sock, __sk_common.skc_daddr);
    u16 far_port = swapped(READ(sock, __sk_common.skc_dport));
    if (!far_port && given.family == kFamilyInet) {
      far_ip = given.rest[0];
      far_port = swapped(given.port);
    }
    *(u32 *)(to + 1) = incoming ? far_ip : near_ip;
    *(u16 *)(to + 5) = incoming ? far_port : near_port;
    *(u32 *)(to + 7) = incoming ? near_ip : far_ip;
    *(u16 *)(to + 11) = incoming ? near_port : far_port;
    return 13;
  }
  if (family == kFamilyInet6) {
    struct in6_addr near = READ(sock, __sk_common.skc_v6_rcv_saddr);
    struct in6_addr far = READ(sock, __sk_common.skc_v6_daddr);
    const u16 near_port = swapped(READ((struct inet_sock *)sock, inet_sport));
    u16 far_port = swapped(READ(sock, __sk_common.skc_dport));
    if (!far_port && given.family == kFamilyInet6) {
      __builtin_memcpy(&far, &given.rest[1], sizeof(far));
      far_port = swapped(given.port);
    }
    __builtin_memcpy(to + 1, incoming ? &far : &near, 16);
    *(u16 *)(to + 17) = incoming ? far_port : near_port;
    __builtin_memcpy(to + 19, incoming ? &near : &far, 16);
    *(u16 *)(to + 35) = incoming ? near_port : far_port;
    return 37;
  }
  if (family == kFamilyUnix) {
    struct unix_sock *local = (struct unix_sock *)sock;
    struct sock *peer = READ(local, peer);
    *(u64 *)(to + 1) = incoming ? (u64)peer : (u64)sock;
    *(u64 *)(to + 9) = incoming ? (u64)sock : (u64)peer;
    // The path is the serving end's: the peer's when we connect or send, our own when we accept or receive.
    struct unix_sock *named = incoming ? local : (struct unix_sock *)peer;
    struct unix_address *name = named ? READ(named, addr) : NULL;
    const int name_length = name ? READ(name, len) : 0;
    if (name_length > 2) return 17 + put_unix_path_text(to + 17, (const char *)name + bpf_core_field_offset(struct unix_address, name) + 2, false);
    if (!incoming && !peer && given.family == kFamilyUnix) return 17 + put_unix_path_text(to + 17, (const char *)address + 2, true);
    to[17] = 0;
    return 18;
  }
  return 0;
}
INLINE void put_tuple(struct event *e, s32 fd, bool incoming, u64 address, u64 length) {
  put_length(e, bounded(write_tuple(e->off, (s64)fd, incoming, address, length), 0xff));
}

// ---- setting up ----
CALL(socket, SOCKET_SOCKET_X, RES U32(0) put32(&e, arg(&e, 1) & 0xf); U32(2) FLAGS(1, portable_fd_flags))

INLINE void put_socketpair(struct event *e) {
  s32 first = -1;
  u64 ends[2] = {};
  put_pair(e, arg(e, 3));
  if (e->ret == 0 && !bpf_probe_read_user(&first, sizeof(first), (void *)arg(e, 3))) {
    struct sock *sock = sock_of(first);
    if (sock && READ(sock, __sk_common.skc_family) == kFamilyUnix) {
      ends[0] = (u64)sock;
      ends[1] = (u64)READ((struct unix_sock *)sock, peer);
    }
  }
  put64(e, ends[0]);
  put64(e, ends[1]);
}
CALL(socketpair, SOCKET_SOCKETPAIR_X, RES put_socketpair(&e); U32(0) put32(&e, arg(&e, 1) & 0xf); U32(2))
CALL(bind, SOCKET_BIND_X, RES put_address(&e, arg(&e, 1), (u32)arg(&e, 2)); FD(0))
CALL(listen, SOCKET_LISTEN_X, RES FD(0) U32(1))

enum { kInProgress = 115 };
// The far end as the kernel has it, in the form of write_address(). 0: it has none to tell. Only what a failed call was given
// has to come from memory that another thread may have changed.
GLOBAL u64 write_far_end(u64 off, u64 fd) {
  u8 *buf = own_slot();
  struct sock *sock = sock_of(fd);
  if (!buf || !sock) return 0;
  const u16 family = READ(sock, __sk_common.skc_family), port = swapped(READ(sock, __sk_common.skc_dport));
  u8 *to = buf + bounded(off, kSlotMask);
  *to = family;
  if (family == kFamilyInet && port) {
    *(u32 *)(to + 1) = READ(sock, __sk_common.skc_daddr);
    *(u16 *)(to + 5) = port;
    return 7;
  }
  if (family == kFamilyInet6 && port) {
    const struct in6_addr far = READ(sock, __sk_common.skc_v6_daddr);
    __builtin_memcpy(to + 1, &far, 16);
    *(u16 *)(to + 17) = port;
    return 19;
  }
  if (family == kFamilyUnix) {
    struct unix_sock *peer = (struct unix_sock *)READ((struct unix_sock *)sock, peer);
    struct unix_address *name = peer ? READ(peer, addr) : NULL;
    if (!name || READ(name, len) <= 2) return 0;
    return 1 + put_unix_path_text(to + 1, (const char *)name + bpf_core_field_offset(struct unix_address, name) + 2, false);
  }
  return 0;
}
INLINE void put_connect_address(struct event *e) {
  const bool known = e->ret == 0 || e->ret == -kInProgress;
  u64 length = known ? write_far_end(e->off, (s64)(s32)arg(e, 0)) : 0;
  if (!length) length = write_address(e->off, arg(e, 1), (u32)arg(e, 2));
  put_length(e, bounded(length, 0xff));
}
// A failed connect has no ends to tell, one in progress has.
CALL(connect, SOCKET_CONNECT_X,
     RES if (e.ret == 0 || e.ret == -kInProgress) { put_tuple(&e, arg(&e, 0), false, arg(&e, 1), (u32)arg(&e, 2)); }
     else { put_empty(&e); } FD(0) put_connect_address(&e))

INLINE void put_accepted(struct event *e) {
  u32 length = 0, limit = 0;
  struct sock *listener = sock_of(arg(e, 0));
  if (listener) {
    length = READ(listener, sk_ack_backlog);
    limit = READ(listener, sk_max_ack_backlog);
  }
  if (e->ret >= 0) {
    put_tuple(e, e->ret, true, 0, 0);
  } else {
    put_empty(e);
  }
  put8(e, limit ? (u64)length * 100 / limit : 0);
  put32(e, length);
  put32(e, limit);
}
CALL(accept, SOCKET_ACCEPT_5_X, RES put_accepted(&e))
CALL(accept4, SOCKET_ACCEPT4_6_X, RES put_accepted(&e); FLAGS(3, portable_fd_flags))
CALL(shutdown, SOCKET_SHUTDOWN_X, RES FD(0) U8(1))
CALL(getsockname, SOCKET_GETSOCKNAME_X, )
CALL(getpeername, SOCKET_GETPEERNAME_X, )

// ---- sending and receiving ----
struct user_message {
  u64 name;
  u32 name_length, pad;
  u64 vectors, vector_count, control, control_length;
};
INLINE struct user_message message_at(struct event *e, u64 address) {
  struct user_message message = {};
  if (address && bpf_probe_read_user(&message, sizeof(message), (void *)address) && e->ret != -kErrFault) mark_fault(e);
  return message;
}

CALL(sendto, SOCKET_SENDTO_X, RES DATA_OUT(1, 2) FD(0) U32(2) put_tuple(&e, arg(&e, 0), false, arg(&e, 4), (u32)arg(&e, 5)))
CALL(recvfrom, SOCKET_RECVFROM_X,
     RES DATA_IN(1) if (e.ret >= 0) { put_tuple(&e, arg(&e, 0), true, arg(&e, 4), user_u32(arg(&e, 5))); }
     else { put_empty(&e); } FD(0) U32(2))

INLINE void put_sendmsg(struct event *e) {
  struct user_message m = message_at(e, arg(e, 1));
  const u32 size = vectors_size(m.vectors, m.vector_count);
  put_vectors(e, m.vectors, m.vector_count, e->ret > 0 ? e->ret : size);
  put_fd(e, arg(e, 0));
  put32(e, size);
  put_tuple(e, arg(e, 0), false, m.name, m.name_length);
}
CALL(sendmsg, SOCKET_SENDMSG_X, RES put_sendmsg(&e))

INLINE void put_recvmsg(struct event *e) {
  struct user_message m = message_at(e, arg(e, 1));
  const bool ok = e->ret >= 0;
  put32(e, vectors_size(m.vectors, m.vector_count));
  put_vectors(e, m.vectors, m.vector_count, ok ? e->ret : 0);
  if (ok) {
    put_tuple(e, arg(e, 0), true, m.name, m.name_length);
  } else {
    put_empty(e);
  }
  put_user_data(e, ok ? m.control : 0, m.control_length);
}
CALL(recvmsg, SOCKET_RECVMSG_X, RES put_recvmsg(&e); FD(0))

// Of several messages in one call, the first is told; the result says how many there were.
INLINE void put_many(struct event *e, bool incoming) {
  struct user_message m = message_at(e, arg(e, 1));
  const u32 size = vectors_size(m.vectors, m.vector_count);
  u32 moved = 0;
  if (e->ret > 0) bpf_probe_read_user(&moved, sizeof(moved), (void *)(arg(e, 1) + sizeof(m) + 8));
  put_fd(e, arg(e, 0));
  put32(e, size);
  put_vectors(e, m.vectors, m.vector_count, e->ret > 0 ? moved : incoming ? 0 : size);
  put_tuple(e, arg(e, 0), incoming, m.name, m.name_length);
  if (incoming) put_user_data(e, e->ret > 0 ? m.control : 0, m.control_length);
}
CALL(sendmmsg, SOCKET_SENDMMSG_X, RES put_many(&e, false))
CALL(recvmmsg, SOCKET_RECVMMSG_X, RES put_many(&e, true))

// ---- options ----
enum { kDynBytes = 0, kDynErrno = 1, kDynU32 = 2, kDynU64 = 3, kDynTime = 4 };

INLINE void put_option(struct event *e, u32 level, u32 option, u64 address, u32 length) {
  u8 *to = at(e);
  u32 kind = kDynBytes;
  if (level == 1) {
    if (option == 4) kind = kDynErrno;                                                  // SO_ERROR
    else if (option == 20 || option == 21) kind = kDynTime;                             // SO_RCVTIMEO, SO_SNDTIMEO
    else if (option == 57) kind = kDynU64;                                              // SO_COOKIE
    else if (length == 4 && option != 17 && option != 25 && option != 31) kind = kDynU32;
  }
  *to = kind;
  struct {
    u64 a, b;
  } value = {};
  if (kind == kDynU32) {
    bpf_probe_read_user(to + 1, 4, (void *)address);
    put_length(e, 5);
  } else if (kind == kDynErrno) {
    *(s64 *)(to + 1) = -(s64)(s32)user_u32(address);
    put_length(e, 9);
  } else if (kind == kDynTime) {
    bpf_probe_read_user(&value, sizeof(value), (void *)address);
    *(u64 *)(to + 1) = value.a * 1000000000ull + value.b * 1000;
    put_length(e, 9);
  } else if (kind == kDynU64) {
    *(u64 *)(to + 1) = user_u64(address);
    put_length(e, 9);
  } else {
    u64 size = snaplen;
    if (length < size) size = length;
    size = bounded(size, kPathBytes - 1);
    if (bpf_probe_read_user(to + 1, size, (void *)address)) size = 0;
    put_length(e, 1 + size);
  }
}
CALL(setsockopt, SOCKET_SETSOCKOPT_X,
     RES FD(0) FLAGS8(1, portable_sockopt_level) put8(&e, portable_sockopt_option(arg(&e, 1), arg(&e, 2)));
     put_option(&e, arg(&e, 1), arg(&e, 2), arg(&e, 3), arg(&e, 4)); U32(4))
CALL(getsockopt, SOCKET_GETSOCKOPT_X,
     RES FD(0) FLAGS8(1, portable_sockopt_level) put8(&e, portable_sockopt_option(arg(&e, 1), arg(&e, 2)));
     const u32 length = user_u32(arg(&e, 4)); put_option(&e, arg(&e, 1), arg(&e, 2), arg(&e, 3), length); put32(&e, length))
