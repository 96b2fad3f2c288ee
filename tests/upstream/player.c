// Plays the behaviours that upstream rules are about: a static program that does small, harmless things in the order of its
// arguments, separated by commas, under whatever name it is linked to.
//   player open ./../../etc/hostname r , sleep 2 , exec /bin/sh -c id
//
//   open PATH MODE          r, w (made if missing), t (made or emptied); stays open
//   join FD                 goes into the control group whose cgroup.procs is open there
//   addr IP                 gives loopback another address (needs a network namespace of one's own)
//   listen IP PORT          in a child, which takes one connection and ends with it
//   connect IP PORT KIND    tcp or udp; the descriptor is the last one
//   streams                 the last descriptor becomes standard input, output and error
//   packet-socket           AF_PACKET
//   ptrace-self             PTRACE_TRACEME in a child
//   ptrace-child            PTRACE_ATTACH to a child that waits
//   terminal                a new pseudo terminal becomes the controlling one
//   namespace               unshare(CLONE_NEWNS)
//   enter PATH              setns() to what PATH names
//   page-faults             userfaultfd()
//   bpf                     BPF_PROG_LOAD of nothing, which fails
//   module                  finit_module() of an empty file, which fails
//   identity ID             setuid() and, before it, setgid()
//   variable NAME VALUE     for the environment
//   sleep SECONDS
//   copy FROM TO            an executable copy
//   spawn ARGV...           runs a program and waits; the last command
//   exec ARGV...            becomes a program; the last command
//   memory FROM ARGV...     becomes a copy of FROM that was never a file; the last command
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int last_fd = -1;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in address_of(const char *ip, const char *port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)atoi(port));
  if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) die(ip);
  return address;
}

static void add_address(const char *ip) {
  struct ifreq request;
  struct sockaddr_in address = address_of(ip, "0");
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) die("lo up");
  memset(&request, 0, sizeof request);
  snprintf(request.ifr_name, sizeof request.ifr_name, "lo:%d", ip[0] % 10 + ip[strlen(ip) - 1]);
  memcpy(&request.ifr_addr, &address, sizeof address);
  if (ioctl(fd, SIOCSIFADDR, &request) != 0) die("address");
  close(fd);
}

static void listen_in_child(const char *ip, const char *port) {
  struct sockaddr_in address = address_of(ip, port);
  const int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0) die("listen");
  if (fork() == 0) {
    const int peer = accept(listener, NULL, NULL);
    char buffer[256];
    while (peer >= 0 && read(peer, buffer, sizeof buffer) > 0) {
    }
    _exit(0);
  }
  close(listener);
}

static void copy(const char *from, int to) {
  struct stat info;
  const int in = open(from, O_RDONLY | O_CLOEXEC);
  if (in < 0 || fstat(in, &info) != 0) die(from);
  while (sendfile(to, in, NULL, (size_t)info.st_size) > 0) {
  }
  close(in);
}

static void take_terminal(void) {
  setsid();
  const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  int unlocked = 0, number = 0;
  char path[64];
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) != 0 || ioctl(master, TIOCGPTN, &number) != 0) die("ptmx");
  snprintf(path, sizeof path, "/dev/pts/%d", number);
  const int slave = open(path, O_RDWR);
  if (slave < 0) die(path);
  ioctl(slave, TIOCSCTTY, 0);
}

static void trace(int attach) {
  const pid_t child = fork();
  if (child == 0) {
    if (!attach) {
      ptrace(PTRACE_TRACEME, 0, NULL, NULL);
      _exit(0);
    }
    for (;;) pause();
  }
  if (attach) {
    ptrace(PTRACE_ATTACH, child, NULL, NULL);
    waitpid(child, NULL, 0);
    kill(child, SIGKILL);
  }
  waitpid(child, NULL, 0);
}

static void spawn(char **argv) {
  const pid_t child = fork();
  if (child == 0) {
    execv(argv[0], argv);
    _exit(127);
  }
  waitpid(child, NULL, 0);
}

static char *need(char **argv, int at) {
  if (argv[at] == NULL) {
    fprintf(stderr, "%s lacks an argument\n", argv[0]);
    exit(2);
  }
  return argv[at];
}

static void perform(char **argv) {
  const char *verb = argv[0];
  if (strcmp(verb, "open") == 0) {
    const char mode = need(argv, 2)[0];
    const int flags = mode == 'r' ? O_RDONLY : mode == 'w' ? O_WRONLY | O_CREAT : O_WRONLY | O_CREAT | O_TRUNC;
    last_fd = open(argv[1], flags, 0644);
  } else if (strcmp(verb, "join") == 0) {
    const int fd = atoi(need(argv, 1));
    if (write(fd, "0", 1) != 1) die("join");
    close(fd);
  } else if (strcmp(verb, "addr") == 0) {
    add_address(need(argv, 1));
  } else if (strcmp(verb, "listen") == 0) {
    listen_in_child(need(argv, 1), need(argv, 2));
  } else if (strcmp(verb, "connect") == 0) {
    struct sockaddr_in address = address_of(need(argv, 1), need(argv, 2));
    last_fd = socket(AF_INET, strcmp(need(argv, 3), "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (connect(last_fd, (struct sockaddr *)&address, sizeof address) != 0) perror("connect");
  } else if (strcmp(verb, "streams") == 0) {
    for (int i = 0; i < 3; ++i) dup2(last_fd, i);
  } else if (strcmp(verb, "packet-socket") == 0) {
    last_fd = socket(AF_PACKET, SOCK_RAW, 0);
  } else if (strcmp(verb, "ptrace-self") == 0) {
    trace(0);
  } else if (strcmp(verb, "ptrace-child") == 0) {
    trace(1);
  } else if (strcmp(verb, "terminal") == 0) {
    take_terminal();
  } else if (strcmp(verb, "namespace") == 0) {
    if (unshare(CLONE_NEWNS) != 0) perror("unshare");
  } else if (strcmp(verb, "enter") == 0) {
    const int fd = open(need(argv, 1), O_RDONLY | O_CLOEXEC);
    if (setns(fd, 0) != 0) perror("setns");
  } else if (strcmp(verb, "page-faults") == 0) {
    last_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1);
  } else if (strcmp(verb, "bpf") == 0) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
  } else if (strcmp(verb, "module") == 0) {
    const int fd = open("/tmp/empty.ko", O_RDONLY | O_CREAT, 0644);
    syscall(SYS_finit_module, fd, "", 0);
  } else if (strcmp(verb, "identity") == 0) {
    const unsigned id = (unsigned)atoi(need(argv, 1));
    if (setgid(id) != 0) perror("setgid");
    if (setuid(id) != 0) perror("setuid");
  } else if (strcmp(verb, "variable") == 0) {
    setenv(need(argv, 1), need(argv, 2), 1);
  } else if (strcmp(verb, "sleep") == 0) {
    sleep((unsigned)atoi(need(argv, 1)));
  } else if (strcmp(verb, "copy") == 0) {
    const int to = open(need(argv, 2), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (to < 0) die(argv[2]);
    copy(argv[1], to);
    close(to);
  } else if (strcmp(verb, "spawn") == 0) {
    need(argv, 1);
    spawn(argv + 1);
  } else if (strcmp(verb, "exec") == 0) {
    execv(need(argv, 1), argv + 1);
    die(argv[1]);
  } else if (strcmp(verb, "memory") == 0) {
    need(argv, 2);
    const int fd = (int)syscall(SYS_memfd_create, "x", MFD_CLOEXEC);
    copy(argv[1], fd);
    syscall(SYS_execveat, fd, "", argv + 2, environ, AT_EMPTY_PATH);
    die("execveat");
  } else {
    fprintf(stderr, "%s: no such command\n", verb);
    exit(2);
  }
}

int main(int argc, char **argv) {
  for (int at = 1; at < argc;) {
    char **command = argv + at;
    const int rest = strcmp(argv[at], "spawn") == 0 || strcmp(argv[at], "exec") == 0 || strcmp(argv[at], "memory") == 0;
    while (at < argc && (rest || strcmp(argv[at], ",") != 0)) ++at;
    if (at < argc) argv[at++] = NULL;
    perform(command);
  }
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
  return 0;
}
