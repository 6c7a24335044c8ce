#include "backend/cpu/host.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace pegainfer {
namespace {

namespace fs = std::filesystem;

// A folder that stands for / with the files a test writes.
class HostTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ =
        fs::temp_directory_path() / fs::path("pega_host_" + std::to_string(::getpid()) + "_" +
                                             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    write("proc/meminfo",
          "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:   12000000 kB\n");
    write("proc/self/cgroup", "0::/\n");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void cpu(int n, int package, int core) {
    const std::string folder = "sys/devices/system/cpu/cpu" + std::to_string(n) + "/topology/";
    write(folder + "core_id", std::to_string(core) + "\n");
    write(folder + "physical_package_id", std::to_string(package) + "\n");
  }

  fs::path root_;
};

TEST_F(HostTest, OneThreadPerPhysicalCore) {
  for (int i = 0; i < 8; ++i) cpu(i, i / 2 % 2, i % 2);  // 2 packages of 2 cores of 2 threads
  EXPECT_EQ(usable_cores({0, 1, 2, 3, 4, 5, 6, 7}, root_), 4);
  EXPECT_EQ(usable_cores({0, 4}, root_), 1);  // siblings
  EXPECT_EQ(usable_cores({0, 1}, root_), 2);
}

TEST_F(HostTest, WithoutTopologyEveryCpuIsACore) { EXPECT_EQ(usable_cores({0, 1, 5}, root_), 3); }

TEST_F(HostTest, CpuQuotas) {
  const std::vector<int> cpus{0, 1, 2, 3, 4, 5, 6, 7};
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(usable_cores(cpus, root_), 8);
  write("sys/fs/cgroup/cpu.max", "250000 100000\n");
  EXPECT_EQ(usable_cores(cpus, root_), 3);
  write("sys/fs/cgroup/cpu.max", "20000 100000\n");
  EXPECT_EQ(usable_cores(cpus, root_), 1);
  // An ancestor's quota counts as well.
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
  write("sys/fs/cgroup/a/b/cpu.max", "600000 100000\n");
  EXPECT_EQ(usable_cores(cpus, root_), 2);
}

TEST_F(HostTest, CpuQuotaOfVersion1) {
  write("proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/g\n0::/\n");
  write("sys/fs/cgroup/cpu/g/cpu.cfs_quota_us", "150000\n");
  write("sys/fs/cgroup/cpu/g/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(usable_cores({0, 1, 2, 3}, root_), 2);
  write("sys/fs/cgroup/cpu/g/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(usable_cores({0, 1, 2, 3}, root_), 4);
}

TEST_F(HostTest, MemoryWithoutLimits) {
  EXPECT_EQ(host_memory(root_).total_bytes, size_t{16000000} * 1024);
  EXPECT_EQ(host_memory(root_).available_bytes, size_t{12000000} * 1024);
}

TEST_F(HostTest, MemoryLimitOfVersion2) {
  write("proc/self/cgroup", "0::/app/one\n");
  write("sys/fs/cgroup/app/memory.max", "4000000000\n");
  write("sys/fs/cgroup/app/memory.current", "3000000000\n");
  write("sys/fs/cgroup/app/memory.stat", "anon 1000000000\ninactive_file 1500000000\n");
  write("sys/fs/cgroup/app/one/memory.max", "max\n");
  const DeviceMemory memory = host_memory(root_);
  EXPECT_EQ(memory.total_bytes, 4000000000U);
  EXPECT_EQ(memory.available_bytes, 2500000000U);  // files in the page cache can go
}

TEST_F(HostTest, MemoryLimitOfVersion1) {
  write("proc/self/cgroup", "4:memory:/box\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2000000000\n");
  write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "500000000\n");
  write("sys/fs/cgroup/memory/box/memory.stat", "cache 9\ntotal_inactive_file 100000000\n");
  const DeviceMemory memory = host_memory(root_);
  EXPECT_EQ(memory.total_bytes, 2000000000U);
  EXPECT_EQ(memory.available_bytes, 1600000000U);
}

TEST(Host, ThisMachine) {
  EXPECT_GE(usable_cores(allowed_cpus()), 1);
  EXPECT_LE(usable_cores(allowed_cpus()), static_cast<int>(allowed_cpus().size()));
  EXPECT_GT(host_memory().available_bytes, 0U);
  EXPECT_LE(host_memory().available_bytes, host_memory().total_bytes);
}

}  // namespace
}  // namespace pegainfer
