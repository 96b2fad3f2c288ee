// The kernel's numbers against the portable tables: every symbol that both the tables and the system's headers know.
#include "bpf/flags.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <linux/quota.h>
#include <poll.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/socket.h>

#include "model/event_schema.h"

namespace quell {
namespace {

void expect(const char* table, const char* symbol, flag_u32 got) {
  const auto value = flag_value(flag_table(table), symbol);
  ASSERT_TRUE(value) << table << " has no " << symbol;
  EXPECT_EQ(got, *value) << table << " " << symbol;
}
#define SAME(table, symbol, convert) expect(#table, #symbol, convert(static_cast<flag_u32>(symbol)))

TEST(FlagsTest, OpenFlags) {
  const auto open = [](flag_u32 f) { return portable_open_flags(f); };
  SAME(file_flags, O_RDONLY, open);
  SAME(file_flags, O_WRONLY, open);
  SAME(file_flags, O_RDWR, open);
  // Each beside the O_RDONLY that is part of every such value.
  const auto extra = [](flag_u32 f) { return portable_open_flags(f) & ~1u; };
  SAME(file_flags, O_CREAT, extra);
  SAME(file_flags, O_APPEND, extra);
  SAME(file_flags, O_DSYNC, extra);
  SAME(file_flags, O_EXCL, extra);
  SAME(file_flags, O_NONBLOCK, extra);
  SAME(file_flags, O_TRUNC, extra);
  SAME(file_flags, O_DIRECT, extra);
  SAME(file_flags, O_DIRECTORY, extra);
  SAME(file_flags, O_CLOEXEC, extra);
  EXPECT_EQ(extra(O_SYNC), 0x80u | 0x10u) << "O_SYNC contains O_DSYNC";
  EXPECT_EQ(extra(O_TMPFILE), 0x2000u | 0x400u) << "O_TMPFILE contains O_DIRECTORY";
  EXPECT_EQ(extra(0100000), 0x800u) << "O_LARGEFILE of the kernel";
  EXPECT_EQ(portable_fd_flags(SOCK_CLOEXEC | SOCK_NONBLOCK), 0x1040u);
}

TEST(FlagsTest, CloneFlags) {
#define CLONE_FLAG(symbol) expect("clone_flags", #symbol, portable_clone_flags(static_cast<flag_u32>(symbol)))
  CLONE_FLAG(CLONE_FILES);
  CLONE_FLAG(CLONE_FS);
  CLONE_FLAG(CLONE_IO);
  CLONE_FLAG(CLONE_NEWIPC);
  CLONE_FLAG(CLONE_NEWNET);
  CLONE_FLAG(CLONE_NEWNS);
  CLONE_FLAG(CLONE_NEWPID);
  CLONE_FLAG(CLONE_NEWUTS);
  CLONE_FLAG(CLONE_PARENT);
  CLONE_FLAG(CLONE_PARENT_SETTID);
  CLONE_FLAG(CLONE_PTRACE);
  CLONE_FLAG(CLONE_SIGHAND);
  CLONE_FLAG(CLONE_SYSVSEM);
  CLONE_FLAG(CLONE_THREAD);
  CLONE_FLAG(CLONE_UNTRACED);
  CLONE_FLAG(CLONE_VM);
  CLONE_FLAG(CLONE_NEWUSER);
  CLONE_FLAG(CLONE_CHILD_CLEARTID);
  CLONE_FLAG(CLONE_CHILD_SETTID);
  CLONE_FLAG(CLONE_SETTLS);
  CLONE_FLAG(CLONE_VFORK);
  CLONE_FLAG(CLONE_NEWCGROUP);
}

TEST(FlagsTest, PathFlags) {
  SAME(openat2_flags, RESOLVE_BENEATH, portable_resolve_flags);
  SAME(openat2_flags, RESOLVE_IN_ROOT, portable_resolve_flags);
  SAME(openat2_flags, RESOLVE_NO_MAGICLINKS, portable_resolve_flags);
  SAME(openat2_flags, RESOLVE_NO_SYMLINKS, portable_resolve_flags);
  SAME(openat2_flags, RESOLVE_NO_XDEV, portable_resolve_flags);
  SAME(openat2_flags, RESOLVE_CACHED, portable_resolve_flags);
  SAME(fchownat_flags, AT_SYMLINK_NOFOLLOW, portable_fchownat_flags);
  SAME(fchownat_flags, AT_EMPTY_PATH, portable_fchownat_flags);
  const auto same = [](flag_u32 f) { return f; };
  SAME(unlinkat_flags, AT_REMOVEDIR, same);
  SAME(linkat_flags, AT_SYMLINK_FOLLOW, same);
  SAME(linkat_flags, AT_EMPTY_PATH, same);
  SAME(newfstatat_flags, AT_SYMLINK_NOFOLLOW, same);
  SAME(newfstatat_flags, AT_NO_AUTOMOUNT, same);
  SAME(renameat2_flags, RENAME_NOREPLACE, same);
  SAME(renameat2_flags, RENAME_EXCHANGE, same);
  SAME(renameat2_flags, RENAME_WHITEOUT, same);
  expect("mount_flags", "NOSUID", portable_mount_flags(MS_NOSUID));
  expect("mount_flags", "REC", portable_mount_flags(MS_REC));
  EXPECT_EQ(portable_mount_flags(0xc0ed0000 | MS_RDONLY), static_cast<flag_u32>(MS_RDONLY));
}

TEST(FlagsTest, Memory) {
  SAME(prot_flags, PROT_READ, portable_prot);
  SAME(prot_flags, PROT_WRITE, portable_prot);
  SAME(prot_flags, PROT_EXEC, portable_prot);
  SAME(prot_flags, PROT_GROWSDOWN, portable_prot);
  SAME(prot_flags, PROT_GROWSUP, portable_prot);
#define MAP_FLAG(symbol) expect("mmap_flags", #symbol, portable_mmap_flags(static_cast<flag_u32>(symbol)))
  MAP_FLAG(MAP_SHARED);
  MAP_FLAG(MAP_PRIVATE);
  MAP_FLAG(MAP_FIXED);
  MAP_FLAG(MAP_ANONYMOUS);
  MAP_FLAG(MAP_NORESERVE);
  MAP_FLAG(MAP_POPULATE);
  MAP_FLAG(MAP_NONBLOCK);
  MAP_FLAG(MAP_GROWSDOWN);
  MAP_FLAG(MAP_DENYWRITE);
  MAP_FLAG(MAP_EXECUTABLE);
  MAP_FLAG(MAP_LOCKED);
  EXPECT_EQ(portable_mmap_flags(0x03), 1u) << "MAP_SHARED_VALIDATE is shared";
}

TEST(FlagsTest, Fcntl) {
#define FCNTL(symbol) expect("fcntl_commands", #symbol, portable_fcntl_command(static_cast<flag_u32>(symbol)))
  FCNTL(F_DUPFD);
  FCNTL(F_GETFD);
  FCNTL(F_SETFD);
  FCNTL(F_GETFL);
  FCNTL(F_SETFL);
  FCNTL(F_GETLK);
  FCNTL(F_SETLK);
  FCNTL(F_SETLKW);
  FCNTL(F_SETOWN);
  FCNTL(F_GETOWN);
  FCNTL(F_SETSIG);
  FCNTL(F_GETSIG);
  FCNTL(F_SETOWN_EX);
  FCNTL(F_GETOWN_EX);
  FCNTL(F_OFD_GETLK);
  FCNTL(F_OFD_SETLK);
  FCNTL(F_OFD_SETLKW);
  FCNTL(F_SETLEASE);
  FCNTL(F_GETLEASE);
  FCNTL(F_NOTIFY);
  FCNTL(F_DUPFD_CLOEXEC);
  FCNTL(F_SETPIPE_SZ);
  FCNTL(F_GETPIPE_SZ);
  EXPECT_EQ(portable_fcntl_command(9999), 0u);
}

TEST(FlagsTest, Sockets) {
  const auto option = [](flag_u32 f) { return portable_sockopt_option(SOL_SOCKET, f); };
#define OPTION(symbol) expect("sockopt_options", #symbol, option(static_cast<flag_u32>(symbol)))
  OPTION(SO_DEBUG);
  OPTION(SO_REUSEADDR);
  OPTION(SO_TYPE);
  OPTION(SO_ERROR);
  OPTION(SO_DONTROUTE);
  OPTION(SO_BROADCAST);
  OPTION(SO_SNDBUF);
  OPTION(SO_RCVBUF);
  OPTION(SO_SNDBUFFORCE);
  OPTION(SO_RCVBUFFORCE);
  OPTION(SO_KEEPALIVE);
  OPTION(SO_LINGER);
  OPTION(SO_REUSEPORT);
  OPTION(SO_PASSCRED);
  OPTION(SO_PEERCRED);
  OPTION(SO_RCVTIMEO);
  OPTION(SO_SNDTIMEO);
  OPTION(SO_BINDTODEVICE);
  OPTION(SO_ATTACH_FILTER);
  OPTION(SO_TIMESTAMP);
  OPTION(SO_ACCEPTCONN);
  OPTION(SO_PEERSEC);
  OPTION(SO_PASSSEC);
  OPTION(SO_MARK);
  OPTION(SO_PROTOCOL);
  OPTION(SO_DOMAIN);
  OPTION(SO_PEEK_OFF);
  OPTION(SO_BUSY_POLL);
  OPTION(SO_INCOMING_CPU);
  OPTION(SO_ATTACH_BPF);
  OPTION(SO_PEERGROUPS);
  OPTION(SO_MEMINFO);
  OPTION(SO_COOKIE);
  EXPECT_EQ(portable_sockopt_option(6, 1), 0u) << "options of other levels have no code";
  EXPECT_EQ(portable_sockopt_level(SOL_SOCKET), 1u);
  EXPECT_EQ(portable_sockopt_level(6), 2u);
  EXPECT_EQ(portable_sockopt_level(41), 0u);
}

TEST(FlagsTest, Ptrace) {
#define PTRACE(symbol) expect("ptrace_requests", #symbol, portable_ptrace_request(static_cast<flag_u32>(symbol)))
  PTRACE(PTRACE_TRACEME);
  PTRACE(PTRACE_PEEKTEXT);
  PTRACE(PTRACE_PEEKDATA);
  PTRACE(PTRACE_POKETEXT);
  PTRACE(PTRACE_POKEDATA);
  PTRACE(PTRACE_CONT);
  PTRACE(PTRACE_KILL);
  PTRACE(PTRACE_SINGLESTEP);
  PTRACE(PTRACE_GETREGS);
  PTRACE(PTRACE_SETREGS);
  PTRACE(PTRACE_GETFPREGS);
  PTRACE(PTRACE_SETFPREGS);
  PTRACE(PTRACE_ATTACH);
  PTRACE(PTRACE_DETACH);
  PTRACE(PTRACE_SYSCALL);
  PTRACE(PTRACE_GETFPXREGS);
  PTRACE(PTRACE_SETFPXREGS);
  PTRACE(PTRACE_SETOPTIONS);
  PTRACE(PTRACE_GETEVENTMSG);
  PTRACE(PTRACE_GETSIGINFO);
  PTRACE(PTRACE_SETSIGINFO);
  PTRACE(PTRACE_GETREGSET);
  PTRACE(PTRACE_SETREGSET);
  PTRACE(PTRACE_SEIZE);
  PTRACE(PTRACE_INTERRUPT);
  PTRACE(PTRACE_LISTEN);
  PTRACE(PTRACE_PEEKSIGINFO);
  PTRACE(PTRACE_GETSIGMASK);
  PTRACE(PTRACE_SETSIGMASK);
  PTRACE(PTRACE_SYSEMU);
  PTRACE(PTRACE_SYSEMU_SINGLESTEP);
  PTRACE(PTRACE_SINGLEBLOCK);
  PTRACE(PTRACE_GET_THREAD_AREA);
  PTRACE(PTRACE_SET_THREAD_AREA);
  PTRACE(PTRACE_ARCH_PRCTL);
  EXPECT_EQ(portable_ptrace_request(999), 0u);
}

TEST(FlagsTest, Others) {
#define SEMCTL(symbol) expect("semctl_commands", #symbol, portable_semctl_command(static_cast<flag_u32>(symbol)))
  SEMCTL(IPC_STAT);
  SEMCTL(IPC_SET);
  SEMCTL(IPC_RMID);
  SEMCTL(GETALL);
  SEMCTL(GETNCNT);
  SEMCTL(GETPID);
  SEMCTL(GETVAL);
  SEMCTL(GETZCNT);
  SEMCTL(SETALL);
  SEMCTL(SETVAL);
  SAME(semget_flags, IPC_CREAT, portable_semget_flags);
  SAME(semget_flags, IPC_EXCL, portable_semget_flags);
  SAME(semop_flags, IPC_NOWAIT, portable_sem_flags);
  SAME(semop_flags, SEM_UNDO, portable_sem_flags);
#define POLL(symbol) expect("poll_flags", #symbol, portable_poll_events(static_cast<flag_u32>(symbol)))
  POLL(POLLIN);
  POLL(POLLPRI);
  POLL(POLLOUT);
  POLL(POLLRDHUP);
  POLL(POLLERR);
  POLL(POLLHUP);
  POLL(POLLNVAL);
  POLL(POLLRDNORM);
  POLL(POLLRDBAND);
  POLL(POLLWRNORM);
  POLL(POLLWRBAND);
#define URING(symbol) expect("io_uring_setup_flags", #symbol, portable_io_uring_flags(static_cast<flag_u32>(symbol)))
  URING(IORING_SETUP_IOPOLL);
  URING(IORING_SETUP_SQPOLL);
  URING(IORING_SETUP_SQ_AFF);
  URING(IORING_SETUP_CQSIZE);
  URING(IORING_SETUP_CLAMP);
  URING(IORING_SETUP_R_DISABLED);
  SAME(quotactl_cmds, Q_SYNC, portable_quota_command);
  SAME(quotactl_cmds, Q_QUOTAON, portable_quota_command);
  SAME(quotactl_cmds, Q_GETQUOTA, portable_quota_command);
  SAME(quotactl_cmds, Q_SETINFO, portable_quota_command);
  EXPECT_EQ(portable_epoll_flags(O_CLOEXEC), 1u);
  EXPECT_EQ(portable_pidfd_flags(O_NONBLOCK), 1u);
  EXPECT_EQ(portable_delete_module_flags(O_NONBLOCK | O_TRUNC), 3u);
}

}  // namespace
}  // namespace quell
